"""Kills a whole Orrery's Triton in the very moment that a test is about.

A tiny task takes less time than a busy machine may keep a test waiting. So Triton runs a little, stands still while the test
looks at the job, and is killed as it stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from e2e.stack import ENDED, Stack, descendants

RUNS_SECONDS, STANDS_SECONDS = 0.03, 0.1


def kill_triton_when(
    met: Callable[[dict[str, Any]], bool], stack: Stack, job_id: str, *, seconds: float = 240.0
) -> list[dict[str, Any]]:
    """The job as it was seen until then. Raises `AssertionError` if it ended before, `TimeoutError` after `seconds`."""
    (triton,) = [p for p in map(psutil.Process, descendants(stack.process.pid)) if p.name() == "tritonserver"]
    seen: list[dict[str, Any]] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with _standing_still(triton):
            seen.append(_told(stack, job_id))
            if met(seen[-1]):
                triton.kill()
                return seen
        assert seen[-1]["status"] not in ENDED, seen[-1]
        time.sleep(RUNS_SECONDS)
    raise TimeoutError(seen[-1])


@contextmanager
def _standing_still(triton: psutil.Process) -> Iterator[None]:
    processes = [triton, *triton.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # for it is killed meanwhile
                process.resume()


def _told(stack: Stack, job_id: str) -> dict[str, Any]:
    """The job once all is told that was done before Triton stood still."""
    job = stack.job(job_id)
    while True:
        time.sleep(STANDS_SECONDS)
        before, job = job, stack.job(job_id)
        if _steps(before) == _steps(job):
            return job


def _steps(job: dict[str, Any]) -> list[tuple[str, int | None]]:
    return [(row["state"], row["step"]) for row in job["timeline"]]
