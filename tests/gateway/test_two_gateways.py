"""Two gateway processes on one Valkey and one folder, behind a balancer that gives every request to the other one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.balancer import Balancer, balanced
from gateway.batching import ENDED, jsonl, line
from gateway.rig import Worker, eventually
from orrery.artifacts import open_store
from orrery.embedded.settings import free_ports
from orrery.jobs.cancelling import end
from orrery.jobs.redis import RedisJobs
from orrery.worker.lifeline import die_with_parent
from valkeys import own_valkey

WORLD = {"prompt": "a robot arm stacks boxes"}
ONCE = {"Connection": "close"}
START_SECONDS = 45
BATCH_SECONDS = 90
"""Fifteen of them are how long a batch stays lent to a gateway that is dead."""


@dataclass
class Pair:
    """The two, a client that speaks to both in turn, and a worker that does what they submit."""

    redis_url: str
    folder: Path
    processes: dict[int, subprocess.Popen[bytes]]
    balancer: Balancer
    client: httpx.AsyncClient
    jobs: RedisJobs
    worker: Worker

    async def alone(self, port: int, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            return await client.get(f"http://127.0.0.1:{port}{path}")

    def kill(self, port: int) -> None:
        stop({port: self.processes[port]})

    async def add(self) -> None:
        """A third, that the balancer knows too."""
        (port,) = free_ports(1)
        self.processes[port] = started(port, self.redis_url, self.folder)
        await self.up(port)
        self.balancer.ports.append(port)

    async def up(self, port: int) -> None:
        """Returns when that one answers."""
        await eventually(lambda: answers(port), START_SECONDS)
        status = self.processes[port].poll()
        assert status is None, f"it is another one that answers on port {port}: ours ended with {status}"

    async def job_ids(self) -> list[str]:
        page = await self.jobs.list(after=None, limit=500, order="asc")
        return [job.id for job in page.jobs]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with own_valkey() as url:
        yield url


@pytest.fixture
async def pair(redis_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        jobs = await stack.enter_async_context(aclosing(RedisJobs.connect(redis_url)))
        await jobs._client.flushall()
        artifacts = open_store(tmp_path.as_uri())
        processes = {port: started(port, redis_url, tmp_path) for port in free_ports(2)}
        stack.callback(stop, processes)
        balancer, url = await stack.enter_async_context(balanced(list(processes)))
        client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=20, headers=ONCE)
        await stack.enter_async_context(client)
        pair = Pair(redis_url, tmp_path, processes, balancer, client, jobs, Worker(jobs, artifacts))  # type: ignore[arg-type]
        for port in processes:
            await pair.up(port)
        yield pair


def started(port: int, redis_url: str, folder: Path) -> subprocess.Popen[bytes]:
    settings = {"redis_url": redis_url, "artifacts_url": folder.as_uri(), "port": str(port), "batch_pause_seconds": "0.1"}
    settings |= {"batch_open_lines": "8"}
    variables = {f"ORRERY_{name.upper()}": value for name, value in settings.items()}
    with (folder / f"{port}.log").open("wb") as log:
        command = [sys.executable, "-m", "orrery.gateway"]
        return subprocess.Popen(command, env=os.environ | variables, stderr=log, stdout=log, preexec_fn=die_with_parent)


def stop(processes: dict[int, subprocess.Popen[bytes]]) -> None:
    for process in processes.values():
        process.kill()
    for process in processes.values():
        process.wait(20)


async def answers(port: int) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
    except httpx.TransportError:
        return False


async def test_either_answers_every_poll(pair: Pair) -> None:
    job = (await pair.client.post("/v1/videos", json=WORLD)).json()
    polls = [(await pair.client.get(f"/v1/videos/{job['id']}")).json() for _ in range(6)]
    assert {poll["status"] for poll in polls} == {"queued"}
    await pair.worker.finish(job["id"])
    polls = [(await pair.client.get(f"/v1/videos/{job['id']}")).json() for _ in range(6)]
    assert polls == [polls[0]] * 6
    assert polls[0]["status"] == "completed"
    videos = {(await pair.client.get(f"/v1/videos/{job['id']}/content")).content for _ in range(2)}
    assert len(videos) == 1
    assert set(Counter(pair.balancer.chosen).values()) == {len(pair.balancer.chosen) // 2, -(-len(pair.balancer.chosen) // 2)}


async def test_one_cancels_what_the_other_took(pair: Pair) -> None:
    for _ in range(2):
        job = (await pair.client.post("/v1/videos", json=WORLD)).json()
        cancelled = (await pair.client.post(f"/v1/videos/{job['id']}/cancel")).json()
        assert cancelled["status"] == "cancelled"
        assert (await pair.client.delete(f"/v1/videos/{job['id']}")).json()["deleted"]
        assert (await pair.client.get(f"/v1/videos/{job['id']}")).status_code == 404


async def test_an_event_stream_goes_on_at_the_other(pair: Pair) -> None:
    job = (await pair.client.post("/v1/videos", json=WORLD)).json()
    path = f"/v1/videos/{job['id']}/events"
    first, second = pair.processes
    whole: list[tuple[str, str]] = []
    seen: list[tuple[str, str]] = []
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        async with client.stream("GET", f"http://127.0.0.1:{first}{path}") as answer:
            async for event in events_of(answer):
                seen.append(event)
                break
        pair.kill(first)
        await pair.worker.finish(job["id"])
        after = {"Last-Event-ID": seen[-1][0]}
        async with client.stream("GET", f"http://127.0.0.1:{second}{path}", headers=after) as answer:
            seen += [event async for event in events_of(answer)]
        async with client.stream("GET", f"http://127.0.0.1:{second}{path}") as answer:
            whole += [event async for event in events_of(answer)]
    assert seen == whole
    kinds = [kind for _, kind in whole]
    assert (kinds[:2], kinds[-1]) == (["job.queued", "job.in_progress"], "job.completed")


async def events_of(answer: httpx.Response) -> AsyncIterator[tuple[str, str]]:
    """Ids and types."""
    event_id = ""
    async for text in answer.aiter_lines():
        if text.startswith("id: "):
            event_id = text.removeprefix("id: ")
        if text.startswith("event: "):
            yield event_id, text.removeprefix("event: ")


async def test_an_order_that_both_get_is_one_job(pair: Pair) -> None:
    headers = {"Idempotency-Key": "one"}
    answers = await asyncio.gather(*(pair.client.post("/v1/videos", json=WORLD, headers=headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await pair.job_ids()) == 1
    assert len(set(pair.balancer.chosen)) == 2


async def ordered(pair: Pair, count: int) -> str:
    data = jsonl(*(line(f"w{n}", seed=n) for n in range(count)))
    file = (await pair.client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", data)})).json()
    order = {"input_file_id": file["id"], "endpoint": "/v1/videos", "completion_window": "24h"}
    return str((await pair.client.post("/v1/batches", json=order)).json()["id"])


async def working(pair: Pair, going_on: asyncio.Event) -> None:
    """Does whatever is there to be done while the event is set, for ever."""
    while True:
        for job_id in await pair.job_ids():
            await going_on.wait()
            await pair.worker.finish(job_id)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def worked_on(pair: Pair, going_on: asyncio.Event) -> AsyncIterator[asyncio.Task[None]]:
    """`working`, as long as the context. One cancellation would not do: Redis may swallow it, and the task would never end."""
    work = asyncio.create_task(working(pair, going_on))
    try:
        yield work
    finally:
        await end(work)


async def ended(pair: Pair, batch_id: str, work: asyncio.Task[None]) -> Any:
    """The batch when it has. Raises what stopped the worker, if anything did."""
    seen: list[Any] = []

    async def over() -> bool:
        if work.done():
            work.result()
        answer = await pair.client.get(f"/v1/batches/{batch_id}")
        assert answer.status_code == 200, answer.text
        seen.append(answer.json())
        return seen[-1]["status"] in ENDED

    try:
        await eventually(over, BATCH_SECONDS)
    except TimeoutError as error:
        states = Counter((await pair.jobs.states(await pair.job_ids())).values())
        raise AssertionError(f"the batch does not end: {seen[-1:]}; its jobs: {states}; logs: {pair.folder}/*.log") from error
    return seen[-1]


async def test_a_batch_goes_on_when_every_gateway_that_fed_it_is_killed(pair: Pair) -> None:
    batch_id = await ordered(pair, 60)
    going_on = asyncio.Event()
    going_on.set()
    first, second = list(pair.processes)
    async with worked_on(pair, going_on) as work:
        await eventually(lambda: enough(pair, 12), START_SECONDS)
        going_on.clear()
        pair.kill(first)
        await pair.add()
        pair.kill(second)
        assert len(await pair.job_ids()) < 60
        going_on.set()
        batch = await ended(pair, batch_id, work)
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 60, "completed": 60, "failed": 0})
    (port,) = set(pair.balancer.chosen[-1:])
    text = (await pair.alone(port, f"/v1/files/{batch['output_file_id']}/content")).text
    lines = [json.loads(one) for one in text.splitlines()]
    assert [one["custom_id"] for one in lines] == [f"w{n}" for n in range(60)]
    ids = await pair.job_ids()
    assert (len(ids), sorted(one["response"]["body"]["id"] for one in lines)) == (60, sorted(ids))


async def enough(pair: Pair, count: int) -> bool:
    return len(await pair.job_ids()) >= count
