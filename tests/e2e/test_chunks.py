"""A long film through the whole Orrery: kept up to date while it is made, not lost with a Triton that is killed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from e2e.killing import kill_triton_when
from e2e.media import decode
from e2e.stack import ENDED, Stack, task_of

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
    job = stack.create(**ASKED)
    seen = follow(stack, job["id"], published=KILLED - 2)
    seen += kill_triton_when(lambda job: bool(in_the_midst_of(job)), stack, job["id"])
    killed = in_the_midst_of(seen[-1])
    after = [one for one in follow(stack, job["id"]) if task_of(one, f"denoise_{killed}")["state"] == "done"]
    ended = stack.job(job["id"])
    assert ended["status"] == "completed", ended["error"]
    for told in (seen, after):
        assert [one["progress"] for one in told] == sorted(one["progress"] for one in told)
    assert "starting it again" in (stack.home / "logs" / "stage.log").read_text()
    assert_nothing_was_done_twice(ended, but=killed)
    frames = [stack.tensor(ended, name, "frames") for name in each("decode_video")]
    film = np.concatenate([frames[0], *(chunk[1:] for chunk in frames[1:])])
    assert np.array_equal(decode(stack.content(job["id"]))[0], film)
    assert (len(film), ended["seconds"]) == (CHUNKS * 4 + 1, f"{(CHUNKS * 4 + 1) / 16:g}")
    for index, encoded in enumerate(each("encode_video")[1:], start=1):
        given = stack.tensor(ended, encoded, "latents")
        made = stack.tensor(ended, each("denoise")[index], "latents")
        np.testing.assert_allclose(made[:, :1], given, atol=1e-6)
    assert stack.make(**ASKED | {"num_chunks": 1, "seed": 72})["status"] == "completed"


def in_the_midst_of(job: dict[str, Any]) -> int:
    """Which chunk is being made while nothing else is done: the seventh, or a later one if nobody looked in time. 0 if none."""
    alone = (n for n in range(KILLED, CHUNKS + 1) if task_of(job, f"publish_{n - 1}")["state"] == "done")
    return next((n for n in alone if 0 < (task_of(job, f"denoise_{n}")["step"] or 0) < STEPS), 0)


def follow(stack: Stack, job_id: str, *, published: int | None = None) -> list[dict[str, Any]]:
    """The job as it was seen, until that chunk is published, or it has ended."""
    seen: list[dict[str, Any]] = []
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        job = stack.job(job_id)
        seen.append(job)
        if job["status"] in ENDED or (published and task_of(job, f"publish_{published}")["state"] == "done"):
            return seen
        time.sleep(0.02)
    raise TimeoutError(seen[-1])


def each(name: str) -> list[str]:
    return [name, *(f"{name}_{index}" for index in range(2, CHUNKS + 1))]


def assert_nothing_was_done_twice(job: dict[str, Any], *, but: int) -> None:
    rows = {row["id"]: row for row in job["timeline"]}
    again = [name for name, row in rows.items() if row["attempt"] > 1]
    assert again == [f"denoise_{but}"]
    for name in each("denoise"):
        extra = rows[name]["steps_run"] - STEPS
        assert extra == 0 or (name in again and 0 <= extra <= STEPS)
    assert sum(row["stage"] == "publisher" for row in rows.values()) == CHUNKS
