"""A long film through the whole Orrery: kept up to date while it is made, not lost with a Triton that is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from e2e.media import decode
from e2e.stack import ENDED, Stack, descendants, task_of

CHUNKS, KILLED, STEPS = 12, 7, 60
ASKED: dict[str, Any] = {
    "prompt": "a cart goes on and on",
    "num_chunks": CHUNKS,
    "num_frames": 5,
    "size": "96x96",
    "num_inference_steps": STEPS,
    "output_format": "mkv",
    "seed": 71,
}


@pytest.mark.timeout(600)
def test_a_film_of_twelve_chunks_survives_a_kill_in_the_seventh(stack: Stack) -> None:
    # Found before, for it is to be killed before the chunk is done.
    (triton,) = [pid for pid in descendants(stack.process.pid) if psutil.Process(pid).name() == "tritonserver"]
    job = stack.create(**ASKED)
    seen = follow(stack, job["id"], until=in_the_midst_of_it)
    os.kill(triton, signal.SIGKILL)
    after = [one for one in follow(stack, job["id"], until=None) if task_of(one, f"denoise_{KILLED}")["state"] == "done"]
    ended = stack.job(job["id"])
    assert ended["status"] == "completed", ended["error"]
    for told in (seen, after):
        assert [one["progress"] for one in told] == sorted(one["progress"] for one in told)
    assert "starting it again" in (stack.home / "logs" / "stage.log").read_text()
    assert_nothing_was_done_twice(ended)
    frames = [stack.tensor(ended, name, "frames") for name in each("decode_video")]
    film = np.concatenate([frames[0], *(chunk[1:] for chunk in frames[1:])])
    assert np.array_equal(decode(stack.content(job["id"]))[0], film)
    assert (len(film), ended["seconds"]) == (CHUNKS * 4 + 1, f"{(CHUNKS * 4 + 1) / 16:g}")
    for index, encoded in enumerate(each("encode_video")[1:], start=1):
        given = stack.tensor(ended, encoded, "latents")
        made = stack.tensor(ended, each("denoise")[index], "latents")
        np.testing.assert_allclose(made[:, :1], given, atol=1e-6)
    assert stack.make(**ASKED | {"num_chunks": 1, "seed": 72})["status"] == "completed"


def in_the_midst_of_it(job: dict[str, Any]) -> bool:
    """The chunk is being made, and nothing else is being done."""
    published = task_of(job, f"publish_{KILLED - 1}")["state"] == "done"
    return published and (task_of(job, f"denoise_{KILLED}")["step"] or 0) > 0


def follow(stack: Stack, job_id: str, *, until: Callable[[dict[str, Any]], bool] | None) -> list[dict[str, Any]]:
    """The job as it was seen, until it is as wanted, or has ended."""
    seen: list[dict[str, Any]] = []
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        job = stack.job(job_id)
        seen.append(job)
        if job["status"] in ENDED or (until is not None and until(job)):
            return seen
        time.sleep(0.02)
    raise TimeoutError(seen[-1])


def each(name: str) -> list[str]:
    return [name, *(f"{name}_{index}" for index in range(2, CHUNKS + 1))]


def assert_nothing_was_done_twice(job: dict[str, Any]) -> None:
    rows = {row["id"]: row for row in job["timeline"]}
    again = [name for name, row in rows.items() if row["attempt"] > 1]
    assert again == [f"denoise_{KILLED}"]
    for name in each("denoise"):
        extra = rows[name]["steps_run"] - STEPS
        assert extra == 0 or (name in again and 0 <= extra <= STEPS)
    assert sum(row["stage"] == "publisher" for row in rows.values()) == CHUNKS
