"""Servers to measure, each in a process of its own, on a Valkey of their own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from jobs.setting import free_port


@dataclass
class Served:
    """A server in a process of its own."""

    port: int
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Bytes: proportional set size."""
        return int(self.process.memory_full_info().pss)


def raise_file_limit(count: int) -> None:
    """For this process and those that it starts; a stream is a file here and in the gateway."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@contextmanager
def started(home: Path, module: str, redis_url: str) -> Iterator[Served]:
    port = free_port()
    settings = {"redis_url": redis_url, "artifacts_url": home.as_uri(), "port": str(port)}
    settings |= {"max_waiting_per_pool": str(10**7), "max_waiting_per_tenant": str(10**7)}
    environment = {f"ORRERY_{name.upper()}": value for name, value in settings.items()}
    with process(home, module, str(port), str(home / "body.json"), **environment) as running:
        until_answered(port)
        yield Served(port, psutil.Process(running.pid))


@contextmanager
def process(home: Path, module: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with (home / f"{module}.log").open("wb") as log:
        command = [sys.executable, "-m", module, *arguments]
        running = subprocess.Popen(command, env=os.environ | paths | environment, stdout=log, stderr=log)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def until_answered(port: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
            return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
