"""The gateway alone, on one Valkey with its log on: submissions, polls, whole jobs, and event streams that are held.

Submissions and polls are measured beside a bare FastAPI app that returns the same body, by turns in the same run. The load is
made by this process; the gateway and the bare app are one process each, and all of them share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.load import Connection, Load, connected, get, load, post
from benchmarks.queue import server
from benchmarks.report import spread, write
from benchmarks.served import Served, process, raise_file_limit, started

WORLD = {"prompt": "a robot arm stacks boxes"}
CONNECTIONS = 16
POLLED = 200
OPENED_AT_ONCE = 64
END = b"event: job.cancelled\n"


@dataclass(frozen=True)
class Amounts:
    """How much is measured: `seconds` for each of `rounds`, `streams` held, `jobs` run."""

    rounds: int = 5
    seconds: float = 4.0
    streams: int = 5000
    jobs: int = 200


SHORT = Amounts(rounds=2, seconds=1.0, streams=100, jobs=50)


@dataclass
class Rounds:
    """One kind of request, on one server."""

    loads: list[Load] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        return [one.per_second for one in self.loads]

    def row(self) -> dict[str, Any]:
        latencies = sorted(latency for one in self.loads for latency in one.latencies)
        return {
            "per_second": spread(self.rates),
            "p50_ms": 1000 * statistics.median(latencies),
            "p99_ms": 1000 * latencies[int(0.99 * (len(latencies) - 1))],
            "cpu_ms": 1000 * statistics.median(self.cpu),
            "requests": len(latencies),
        }


def run(results: Path, *, short: bool = False) -> dict[str, Any]:
    amounts = SHORT if short else Amounts()
    raise_file_limit(4 * amounts.streams + 1000)
    result = beside_bare(amounts) | with_a_pool(amounts)
    show(result)
    write(results, "gateway", result)
    return headline(result)


def beside_bare(amounts: Amounts) -> dict[str, Any]:
    """Requests and streams, with nobody at work."""
    with tempfile.TemporaryDirectory(prefix="orrery-gateway-") as folder, server(Path(folder)) as url, ExitStack() as stack:
        home = Path(folder)
        gateway = stack.enter_context(started(home, "orrery.gateway", url))
        ids = [submit_one(gateway.port) for _ in range(POLLED)]
        body = httpx.get(f"http://127.0.0.1:{gateway.port}/v1/videos/{ids[0]}", trust_env=False).json()
        (home / "body.json").write_text(json.dumps(body))
        bare = stack.enter_context(started(home, "benchmarks.bare", url))
        return asyncio.run(measured(gateway, bare, ids, amounts))


def with_a_pool(amounts: Amounts) -> dict[str, Any]:
    """Whole jobs, with a pool that does nothing."""
    with tempfile.TemporaryDirectory(prefix="orrery-gateway-") as folder, server(Path(folder)) as url, ExitStack() as stack:
        home = Path(folder)
        gateway = stack.enter_context(started(home, "orrery.gateway", url))
        stack.enter_context(process(home, "benchmarks.noop", url))
        return asyncio.run(whole_jobs(gateway, amounts.jobs))


def submit_one(port: int) -> str:
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/videos", json=WORLD, trust_env=False)
    return str(answer.raise_for_status().json()["id"])


async def measured(gateway: Served, bare: Served, ids: list[str], amounts: Amounts) -> dict[str, Any]:
    polls = itertools.cycle([get(f"/v1/videos/{job_id}") for job_id in ids])
    kinds = {"poll": (polls, 200), "submit": (itertools.repeat(post("/v1/videos", WORLD)), 202)}
    rows: dict[str, Any] = {}
    for kind, (requests, status) in kinds.items():
        ours, theirs = Rounds(), Rounds()
        for _ in range(amounts.rounds):  # by turns, so that a noisy machine troubles both alike
            await one_round(gateway, ours, requests, status, amounts.seconds)
            await one_round(bare, theirs, requests, status, amounts.seconds)
        ratios = [ours_rate / bare_rate for ours_rate, bare_rate in zip(ours.rates, theirs.rates, strict=True)]
        cost = [one / other for one, other in zip(ours.cpu, theirs.cpu, strict=True)]
        rows[kind] = {"gateway": ours.row(), "bare": theirs.row(), "of_bare": spread(ratios), "cpu_over_bare": spread(cost)}
    return {"requests": rows, "streams": await held_streams(gateway, amounts.streams), "connections": CONNECTIONS}


async def one_round(served: Served, rounds: Rounds, requests: Iterator[bytes], status: int, seconds: float) -> None:
    before = served.cpu()
    made = await load(served.port, lambda: next(requests), status, connections=CONNECTIONS, seconds=seconds)
    rounds.loads.append(made)
    rounds.cpu.append((served.cpu() - before) / len(made.latencies))


async def held_streams(gateway: Served, count: int) -> dict[str, Any]:
    """Opens a stream for each of `count` jobs, then ends some of the jobs and looks when their streams say so."""
    before = gateway.memory()
    ids = await at_once(count, lambda _: submitted(gateway.port))
    with_jobs = gateway.memory()
    async with AsyncExitStack() as stack:
        start = time.perf_counter()
        streams = await at_once(count, lambda n: opened(stack, gateway.port, ids[n]))
        opening = time.perf_counter() - start
        memory, cpu = gateway.memory(), gateway.cpu()
        await asyncio.sleep(5.0)
        idle = (gateway.cpu() - cpu) / 5.0
        ended = range(0, count, max(1, count // 200))
        delays = [await told(gateway.port, ids[n], streams[n]) for n in ended]
    return {
        "held": len(streams),
        "opened_per_second": count / opening,
        "memory_before": before,
        "memory_with_jobs": with_jobs,
        "memory_held": memory,
        "bytes_per_stream": (memory - with_jobs) / count,
        "idle_share_of_core": idle,
        "told": spread(delays),
        "told_p99_ms": 1000 * sorted(delays)[int(0.99 * (len(delays) - 1))],
    }


async def at_once(count: int, make: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """In order; a bounded number at a time."""
    room = asyncio.Semaphore(OPENED_AT_ONCE)

    async def one(number: int) -> Any:
        async with room:
            return await make(number)

    return await asyncio.gather(*(one(number) for number in range(count)))


async def submitted(port: int) -> str:
    async with connected(port) as connection:
        status, body = await connection.ask(post("/v1/videos", WORLD))
        assert status == 202, body
        return str(json.loads(body)["id"])


async def opened(stack: AsyncExitStack, port: int, job_id: str) -> Connection:
    """A stream that has told what there is to tell."""
    connection = await stack.enter_async_context(connected(port))
    assert await connection.begin(get(f"/v1/videos/{job_id}/events")) == 200
    await connection.until(b"event: job.queued\n")
    return connection


async def told(port: int, job_id: str, stream: Connection) -> float:
    """Seconds from asking for the job's end until its stream says so."""
    async with connected(port) as connection:
        start = time.perf_counter()
        await connection.ask(post(f"/v1/videos/{job_id}/cancel", {}))
        await stream.until(END)
        return time.perf_counter() - start


async def whole_jobs(gateway: Served, count: int) -> dict[str, Any]:
    """What a job costs the gateway: it is submitted, its events are followed to the end, and it is read once."""
    await at_once(CONNECTIONS, lambda _: one_job(gateway.port))  # until the pool is at work
    before, start = gateway.cpu(), time.perf_counter()
    await at_once(count, lambda _: one_job(gateway.port))
    seconds, cpu = time.perf_counter() - start, gateway.cpu() - before
    return {"jobs": {"n": count, "per_second": count / seconds, "cpu_ms": 1000 * cpu / count}}


async def one_job(port: int) -> None:
    job_id = await submitted(port)
    async with connected(port) as stream:
        assert await stream.begin(get(f"/v1/videos/{job_id}/events")) == 200
        await stream.until(b"event: job.completed\n")
    async with connected(port) as connection:
        status, _ = await connection.ask(get(f"/v1/videos/{job_id}"))
        assert status == 200


def headline(result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, row in result["requests"].items():
        found[f"gateway_{kind}s_per_second"] = round(row["gateway"]["per_second"].p50)
        found[f"gateway_{kind}_p99_ms"] = round(row["gateway"]["p99_ms"], 1)
        found[f"gateway_{kind}s_of_bare"] = round(row["of_bare"].p50, 2)
    streams = result["streams"]
    return found | {
        "gateway_streams_held": streams["held"],
        "gateway_streams_mib": round(streams["memory_held"] / 2**20),
        "gateway_streams_told_p99_ms": round(streams["told_p99_ms"], 1),
        "gateway_cpu_ms_per_job": round(result["jobs"]["cpu_ms"], 2),
    }


def show(result: dict[str, Any]) -> None:
    table = Table("", "n", "per second", "p50 ms", "p99 ms", "CPU ms", title=f"gateway, {CONNECTIONS} connections")
    for kind, row in result["requests"].items():
        for name in ("gateway", "bare"):
            one = row[name]
            rate = one["per_second"]
            cells = (
                f"{rate.p50:.0f} ({rate.minimum:.0f} to {rate.maximum:.0f})",
                f"{one['p50_ms']:.1f}",
                f"{one['p99_ms']:.1f}",
            )
            table.add_row(f"{kind}, {name}", str(rate.n), *cells, f"{one['cpu_ms']:.2f}")
        ratio, cost = row["of_bare"], row["cpu_over_bare"]
        table.add_row(
            f"{kind}, of bare",
            str(ratio.n),
            f"{ratio.p50:.2f} ({ratio.minimum:.2f} to {ratio.maximum:.2f})",
            "",
            "",
            f"x{cost.p50:.2f}",
        )
    Console().print(table)
    Console().print(told_of_streams(result["streams"]))
    Console().print("whole jobs: {n}, {per_second:.0f} a second, {cpu_ms:.2f} CPU-ms each".format(**result["jobs"]))


def told_of_streams(streams: dict[str, Any]) -> str:
    memory, each = streams["memory_held"] / 2**20, streams["bytes_per_stream"] / 2**10
    opened, idle = streams["opened_per_second"], 100 * streams["idle_share_of_core"]
    held = f"{streams['held']} event streams held: {memory:.0f} MiB, {each:.0f} KiB for each, {idle:.1f} % of a core"
    return f"{held}; {opened:.0f} opened a second; an event is there within {streams['told_p99_ms']:.1f} ms (p99)"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--short", action="store_true", help="only that it works")
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.out, short=chosen.short)))
