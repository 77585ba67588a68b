"""What the clients do when the network or the gateway fails."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from gateway.rig import VIDEO
from gateway.samples import png
from orrery.sdk import AsyncClient, CorruptDownload, Refused, Retries, Unreachable
from orrery.worlds.errors import QueueFull, StoreUnavailable
from sdk.conftest import QUICK, Faulty, Served, cut_after, lost, says

PROMPT = "a robot arm stacks boxes"


def faulty(gateway: Served, *faults: object, retries: Retries = QUICK) -> tuple[AsyncClient, Faulty]:
    transport = Faulty(list(faults))  # type: ignore[arg-type]
    return AsyncClient(gateway.url, retries=retries, transport=transport), transport


@pytest.mark.parametrize("referring", [False, True], ids=["json", "upload"])
async def test_an_answer_that_is_lost_makes_no_second_job(gateway: Served, tmp_path: Path, referring: bool) -> None:
    (tmp_path / "in.png").write_bytes(png(64, 48))
    client, network = faulty(gateway, lost, says(503))
    async with client:
        world = await client.create(PROMPT, reference=tmp_path / "in.png" if referring else None)
    assert len(network.requests) == 3
    assert len({request.headers["idempotency-key"] for request in network.requests}) == 1
    assert [world.id] == [job.id for job in (await gateway.rig.jobs.list(after=None, limit=9, order="asc")).jobs]


async def test_another_create_is_another_job(gateway: Served) -> None:
    client, _ = faulty(gateway)
    async with client:
        ids = {(await client.create(PROMPT)).id for _ in range(2)}
        named = {(await client.create(PROMPT, idempotency_key="mine")).id for _ in range(2)}
    assert (len(ids), len(named)) == (2, 1)


async def test_a_full_queue_is_waited_for_as_long_as_it_says(gateway: Served) -> None:
    client, network = faulty(gateway, says(429, **{"Retry-After": "1"}))
    async with client:
        started = time.monotonic()
        await client.create(PROMPT)
    assert 1.0 <= time.monotonic() - started < 5
    assert len(network.requests) == 2


async def test_what_wants_too_long_is_told_at_once(gateway: Served) -> None:
    client, network = faulty(gateway, says(429, **{"Retry-After": "3600"}))
    async with client:
        with pytest.raises(QueueFull):
            await client.create(PROMPT)
    assert len(network.requests) == 1


async def test_patience_ends(gateway: Served) -> None:
    client, network = faulty(gateway, *[says(503)] * 10)
    async with client:
        with pytest.raises(StoreUnavailable):
            await client.models()
    assert len(network.requests) == QUICK.times + 1


async def test_what_may_have_been_done_is_not_done_twice(gateway: Served) -> None:
    client, network = faulty(gateway, lost)
    async with client:
        world_id = (await gateway.rig.post()).json()["id"]
        with pytest.raises(Unreachable):
            await client.delete(world_id)
    assert len(network.requests) == 1
    assert await gateway.rig.left_behind() == []


async def test_a_watch_goes_on_where_it_broke(gateway: Served) -> None:
    client, network = faulty(gateway, cut_after(300), says(503), lost)
    async with client:
        job_id = (await gateway.rig.post()).json()["id"]
        await gateway.rig.work(job_id)
        seen = [event async for event in client.watch(job_id)]
    assert len(network.requests) == 4
    assert network.requests[-1].headers["last-event-id"] in {event.id for event in seen}
    async with AsyncClient(gateway.url) as calm:
        assert seen == [event async for event in calm.watch(job_id)]


async def test_a_download_goes_on_where_it_broke(gateway: Served, tmp_path: Path) -> None:
    client, network = faulty(gateway, cut_after(1000), says(503))
    async with client:
        job_id = (await gateway.rig.post()).json()["id"]
        await gateway.rig.work(job_id)
        assert await client.download(job_id, tmp_path / "world.mp4") == len(VIDEO)
    assert (tmp_path / "world.mp4").read_bytes() == VIDEO
    assert network.requests[-1].headers["range"] == "bytes=1000-"
    assert network.requests[-1].headers["if-range"].strip('"').isalnum()


async def test_a_connection_that_breaks_after_the_last_byte_breaks_nothing(gateway: Served, tmp_path: Path) -> None:
    client, network = faulty(gateway, cut_after(1000), cut_after(len(VIDEO) - 1000))
    async with client:
        job_id = (await gateway.rig.post()).json()["id"]
        await gateway.rig.work(job_id)
        assert await client.download(job_id, tmp_path / "world.mp4") == len(VIDEO)
    assert ((tmp_path / "world.mp4").read_bytes(), len(network.requests)) == (VIDEO, 2)


async def test_bytes_that_are_not_what_was_named_are_not_kept(gateway: Served, tmp_path: Path) -> None:
    def other(_: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(200, content=b"other bytes", headers={"ETag": answer.headers["etag"]})

    client, _ = faulty(gateway, other)
    async with client:
        job_id = (await gateway.rig.post()).json()["id"]
        await gateway.rig.work(job_id)
        with pytest.raises(CorruptDownload):
            await client.download(job_id, tmp_path / "world.mp4")
    assert not (tmp_path / "world.mp4").exists()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>proxy</html>", "unknown"),
        (b'{"error": {"code": "from_the_future", "message": "new"}}', "from_the_future"),
        (b'{"error": {"code": "job_failed", "message": "odd"}}', "job_failed"),
    ],
)
async def test_what_is_not_known_is_still_an_error_with_its_status(gateway: Served, body: bytes, code: str) -> None:
    client, _ = faulty(gateway, lambda _, answer: httpx.Response(418, content=body))
    async with client:
        with pytest.raises(Refused) as refused:
            await client.models()
    assert (refused.value.sent_code, refused.value.sent_status) == (code, 418)
