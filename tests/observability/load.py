"""Work for a whole Orrery that makes every kind of number move: videos, uploads, memos, refusals, failures, a killed Triton."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from e2e.killing import kill_triton_when
from e2e.media import png, scene
from e2e.stack import Stack, descendants, task_of
from orrery.v1.worlds_pb2 import GetRequest
from orrery.v1.worlds_pb2_grpc import WorldsStub

FAST = {"num_inference_steps": 4, "num_frames": 9}


def run(stack: Stack, hook: str, traceparent: str) -> dict[str, Any]:
    """Gives the job of which the trace is looked at: its Triton was killed while it denoised."""
    stack.make(prompt="a ball rolls over a table", seed=1, webhook_url=hook, **FAST)
    stack.make(prompt="a ball rolls over a table", seed=2, **FAST)
    traced = killed(stack, traceparent, hook)
    refused = stack.client.post("/v1/videos", json={"prompt": "a ball", "num_frames": 4})
    assert refused.status_code == 422
    _broken_upload(stack)
    _too_slow(stack)
    with grpc.insecure_channel((stack.home / "grpc-url").read_text().strip()) as channel:
        WorldsStub(channel).Get(GetRequest(id=traced["id"]), timeout=20)
    picture = png(scene(1, 96, 96)[0])
    stack.make(prompt="it moves", size="96x96", input_reference=("a.png", picture), **FAST)
    with ThreadPoolExecutor(3) as several:
        list(several.map(lambda seed: stack.make(prompt="many balls", seed=seed, **FAST), range(10, 13)))
    return traced


def killed(stack: Stack, traceparent: str, hook: str) -> dict[str, Any]:
    """A job that is denoised by two Tritons, one after the other."""
    body = {"prompt": "a cube falls", "seed": 5, "webhook_url": hook} | FAST | {"num_inference_steps": 40}
    answer = stack.client.post("/v1/videos", json=body, headers={"traceparent": traceparent})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    _until(stack, job_id, lambda job: task_of(job, "image_denoise")["state"] == "done")
    kill_triton_when(_two_steps_are_kept, stack, job_id)
    job = stack.wait(job_id)
    assert job["status"] == "completed", job["error"]
    return job


def _two_steps_are_kept(job: dict[str, Any]) -> bool:
    """Nothing else of the job runs by then, so one task alone is made again."""
    denoise = task_of(job, "denoise")
    return denoise["state"] == "running" and (denoise["checkpoint_step"] or 0) >= 2


def _broken_upload(stack: Stack) -> None:
    """Its frames are damaged before anybody reads them: the job fails for good."""
    worker = _worker(stack)
    os.kill(worker, signal.SIGSTOP)
    try:
        before = set(stack.files())
        picture = png(scene(1, 120, 120)[0])
        job = stack.create(prompt="it moves", size="96x96", input_reference=("a.png", picture), **FAST)
        (frames,) = (path for path in set(stack.files()) - before if path.startswith("sha256/"))
        (stack.home / "artifacts" / frames).write_bytes(b"damaged")
    finally:
        os.kill(worker, signal.SIGCONT)
    ended = stack.wait(job["id"])
    assert (ended["status"], ended["error"]["code"]) == ("failed", "artifact_corrupt")


def _worker(stack: Stack) -> int:
    """The process of the stage's worker."""
    for pid in descendants(stack.process.pid):
        if b"\0stage\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError("no stage runs")


def _too_slow(stack: Stack) -> None:
    answer = stack.client.post("/v1/videos/sync", json={"prompt": "slow", "num_inference_steps": 100})
    assert answer.status_code == 504, answer.text


def _until(stack: Stack, job_id: str, met: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not met(job := stack.job(job_id)):
        assert job["status"] in ("queued", "in_progress"), job["error"]
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
