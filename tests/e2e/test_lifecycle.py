"""Restarts, replicas, lost servers and the end of everything: same bytes, no lost job, nothing left behind."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from e2e.media import png, scene
from e2e.stack import Stack, descendants, running, start, task_of

ASKED: dict[str, Any] = {
    "prompt": "a cart crosses the yard",
    "num_frames": 13,
    "num_inference_steps": 6,
    "output_format": "mkv",
}
SLOW = {"num_frames": 93, "num_inference_steps": 100}


def digests(stack: Stack, seeds: range) -> list[str]:
    jobs = [stack.create(seed=seed, **ASKED)["id"] for seed in seeds]
    ended = [stack.wait(job_id) for job_id in jobs]
    assert {job["status"] for job in ended} == {"completed"}
    return [hashlib.sha256(stack.content(job_id)).hexdigest() for job_id in jobs]


def test_the_same_bytes_after_a_restart_on_two_stage_processes_and_through_bls(
    stack: Stack, models_dir: Path, tmp_path: Path
) -> None:
    """Each Orrery has a home of its own, so that nothing can be remembered from the one before."""
    seeds = range(6)
    first = digests(stack, seeds)
    assert len(set(first)) == len(first)
    with running(tmp_path / "two", models_dir, "--stages", "2") as two:
        # One stage is enough to be ready; the other may need longer.
        wait_until(lambda: min(workers(two).values()) == 2, seconds=120)
        assert digests(two, seeds) == first
        jobs = two.client.get("/v1/videos", params={"limit": 100}).json()["data"]
        assert len({row["worker"] for job in jobs for row in job["timeline"]}) == 2
    with running(tmp_path / "bls", models_dir, "--transformer", "bls") as bls:
        assert digests(bls, seeds[:2]) == first[:2]


def test_jobs_survive_a_restart_and_everything_ends_with_ctrl_c(models_dir: Path, tmp_path: Path) -> None:
    stack = start(tmp_path, models_dir)
    job = stack.make(seed=1, **ASKED)
    video = stack.content(job["id"])
    children = descendants(stack.process.pid)
    assert len(children) >= 6
    assert shared_memory(children) != []
    stack.stop()
    assert stack.process.returncode == 0
    assert living(children) == []
    assert shared_memory(children) == []
    with running(tmp_path, models_dir) as again:
        assert again.job(job["id"])["status"] == "completed"
        assert again.content(job["id"]) == video
        assert all(row["memo"] for row in again.make(seed=1, **ASKED)["timeline"])


def test_a_killed_supervisor_leaves_no_process_and_no_shared_memory(models_dir: Path, tmp_path: Path) -> None:
    stack = start(tmp_path, models_dir)
    children = descendants(stack.process.pid)
    stack.process.kill()
    stack.process.wait()
    wait_until(lambda: not [pid for pid in children if psutil.pid_exists(pid)], seconds=60)
    stack.client.close()
    assert shared_memory(children) == []


def test_a_cancelled_job_frees_the_denoiser_at_the_next_step(stack: Stack) -> None:
    job = stack.create(prompt="a very long one", seed=21, **SLOW)
    wait_until(lambda: (stack.job(job["id"])["step"] or 0) > 0, seconds=60)
    answer = stack.client.delete(f"/v1/videos/{job['id']}")
    assert answer.json() == {"id": job["id"], "object": "video.deleted", "deleted": True}
    assert stack.client.get(f"/v1/videos/{job['id']}").status_code == 404
    started = time.monotonic()
    after = stack.make(prompt="a short one", seed=22, num_frames=5, num_inference_steps=1)
    denoise = task_of(after, "image_denoise")
    assert denoise["started_at"] - denoise["queued_at"] < 2
    assert time.monotonic() - started < 20


@pytest.fixture
def picture() -> tuple[str, bytes]:
    return "a.png", png(scene(1, 96, 176)[0])


def test_a_job_conditioned_on_an_upload_survives_a_restart_before_it_ran(
    models_dir: Path, tmp_path: Path, picture: tuple[str, bytes]
) -> None:
    stack = start(tmp_path, models_dir)
    job = stack.create(seed=51, input_reference=picture, **(ASKED | SLOW | {"num_frames": 17}))
    stack.stop()
    with running(tmp_path, models_dir) as again:
        assert again.wait(job["id"])["status"] == "completed"


def workers(stack: Stack) -> dict[str, float]:
    """How many workers serve each pool, as the gateway's metrics say."""
    prefix = "orrery_pool_workers{"
    lines = [line for line in stack.client.get("/metrics").text.splitlines() if line.startswith(prefix)]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def shared_memory(pids: set[int]) -> list[str]:
    """Regions of these processes, whose names begin with their pid."""
    return [name for name in os.listdir("/dev/shm") if any(name.startswith(f"orrery-{pid}-") for pid in pids)]


def living(pids: list[int]) -> list[int]:
    """Without the ended ones that only wait for pid 1 to take note."""
    return [pid for pid in pids if psutil.pid_exists(pid) and _status(pid) not in (psutil.STATUS_ZOMBIE, None)]


def _status(pid: int) -> str | None:
    try:
        return psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return None


def wait_until(condition: Any, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
