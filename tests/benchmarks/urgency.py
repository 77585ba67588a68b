"""How soon a cancelled job's device is free, how long an interactive job waits behind a batch job, and what the batch job pays.

The device counts as free when the next job's denoising starts, so the figure includes handing the device over.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.report import Spread, show, spread, write
from e2e.media import png, scene
from e2e.stack import Stack, task_of

LONG = {"size": "176x96", "num_frames": 93, "num_inference_steps": 100}
SHORT = {"size": "96x96", "num_frames": 5, "num_inference_steps": 1}


def run(stack: Stack, results: Path, rounds: int) -> dict[str, Any]:
    step = step_seconds(stack)
    cancelled = [cancel_once(stack, number) for number in range(rounds)]
    undisturbed = [stack.wait(long_job(stack, 500 + n, "batch")) for n in range(2)]
    pairs = [preempt_once(stack, number) for number in range(max(2, rounds // 3))]
    rows: dict[str, Spread] = {
        "cancel until the device is free": spread(cancelled),
        "one step of the cancelled job": spread(step),
        "interactive job's wait behind a batch job": spread([wait for wait, _ in pairs]),
        "batch job, left alone": spread([elapsed(job) for job in undisturbed]),
        "batch job, displaced once": spread([elapsed(job) for _, job in pairs]),
    }
    show("urgent work", rows)
    write(results, "urgency", {"rows": rows, "long": LONG, "short": SHORT})
    beyond = rows["cancel until the device is free"].maximum - rows["one step of the cancelled job"].p50
    return {
        "cancel_to_free_max_ms": round(1000 * rows["cancel until the device is free"].maximum, 1),
        "cancel_beyond_one_step_max_ms": round(1000 * beyond, 1),
        "interactive_wait_p50_ms": round(1000 * rows["interactive job's wait behind a batch job"].p50, 1),
        "preempted_delay_p50_ms": round(1000 * (rows["batch job, displaced once"].p50 - rows["batch job, left alone"].p50), 1),
    }


def step_seconds(stack: Stack) -> list[float]:
    """Of whole undisturbed runs: the denoiser's seconds by its steps."""
    jobs = [stack.wait(long_job(stack, 400 + number, "standard")) for number in range(2)]
    return [task_of(job, "denoise")["stage_seconds"] / LONG["num_inference_steps"] for job in jobs]


def long_job(stack: Stack, seed: int, priority: str) -> str:
    return create(stack, seed, priority, LONG)


def create(stack: Stack, seed: int, priority: str, asked: dict[str, Any]) -> str:
    """Every job continues a picture, so that all of them wait for the same transformer."""
    picture = ("a.png", png(scene(1, 96, 96, seed=seed)[0]))
    fields = {"prompt": "a long haul", "seed": seed, "priority": priority, "input_reference": picture}
    return str(stack.create(**fields, **asked)["id"])


def cancel_once(stack: Stack, number: int) -> float:
    """Seconds from the request to the start of the denoising that waited behind the cancelled one."""
    victim = long_job(stack, number, "standard")
    until_denoising(stack, victim, "denoise")
    heir = create(stack, 200 + number, "standard", SHORT)
    until_queued(stack, heir, "denoise")
    asked = time.time()
    stack.client.post(f"/v1/videos/{victim}/cancel").raise_for_status()
    return float(task_of(stack.wait(heir), "denoise")["started_at"]) - asked


def preempt_once(stack: Stack, number: int) -> tuple[float, dict[str, Any]]:
    """The interactive denoising's wait, and the batch job that made way."""
    batch = long_job(stack, 600 + number, "batch")
    until_denoising(stack, batch, "denoise")
    urgent = create(stack, 700 + number, "interactive", SHORT)
    row = task_of(stack.wait(urgent), "denoise")
    displaced = stack.wait(batch)
    assert task_of(displaced, "denoise")["preemptions"] >= 1, "nothing was displaced"
    return float(row["started_at"]) - float(row["queued_at"]), displaced


def elapsed(job: dict[str, Any]) -> float:
    row = task_of(job, "denoise")
    return float(row["finished_at"]) - float(row["queued_at"])


def until_denoising(stack: Stack, job_id: str, task: str) -> None:
    while not task_of(stack.job(job_id), task)["step"]:
        time.sleep(0.01)


def until_queued(stack: Stack, job_id: str, task: str) -> None:
    while task_of(stack.job(job_id), task)["state"] not in ("queued", "running"):
        time.sleep(0.01)
