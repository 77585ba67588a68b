"""Workers that die or freeze, as real processes on a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from jobs.setting import completion, submission
from orrery.jobs.records import JobState
from orrery.jobs.redis import RedisJobs

LEASE = 2.4


@pytest.fixture
def jobs(client: Redis) -> RedisJobs:
    return RedisJobs(client, lease=LEASE)


@contextmanager
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("holder.py")), url, str(LEASE)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


async def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_a_living_worker_keeps_its_task_and_a_killed_one_loses_it_within_a_lease(
    server_url: str, jobs: RedisJobs
) -> None:
    await jobs.submit(submission())
    with holder(server_url) as process:
        assert await said(process) == "claimed"
        assert await jobs.claim(["encode"], "heir", wait=2 * LEASE) is None
        process.send_signal(signal.SIGKILL)
        start = time.monotonic()
        claim = await jobs.claim(["encode"], "heir", wait=10)
        took = time.monotonic() - start
    assert claim is not None
    assert claim.attempt == 2
    assert took < LEASE + 3
    assert await jobs.complete(claim, completion(claim)) == "owned"


async def test_a_worker_that_froze_past_its_lease_is_refused(server_url: str, jobs: RedisJobs) -> None:
    await jobs.submit(submission())
    with holder(server_url) as process:
        assert await said(process) == "claimed"
        process.send_signal(signal.SIGSTOP)
        claim = await jobs.claim(["encode"], "heir", wait=10)
        assert claim is not None
        before = await jobs.get("job")
        process.send_signal(signal.SIGCONT)
        print(file=process.stdin, flush=True)
        assert await said(process) == "lost lost"
    assert await jobs.get("job") == before
    assert await jobs.complete(claim, completion(claim)) == "owned"
    job = await jobs.get("job")
    assert (job.state, job.tasks[0].worker, job.tasks[0].attempt) == (JobState.COMPLETED, "heir", 2)
    events = [event.type async for event in jobs.events(job_id="job")]
    assert events.count("job.completed") == 1
