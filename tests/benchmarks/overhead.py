"""What the platform adds to a video2world job, beside the same checkpoint in a plain diffusers pipeline in the same run.

Every job has a prompt, a picture and a seed of its own, so that nothing is answered from memory. A job's time inside stage
models is that of the chain of tasks that decided its end, each the last to finish of what the next one needed: stages that
ran beside the chain do not count. At concurrency 8 jobs also wait for each other's stages; that wait is told apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.report import Spread, show, spread, write
from e2e.media import png, scene
from e2e.stack import Stack
from orrery.worlds import catalog
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, settle

MODEL = catalog.find("tiny-predict2")
ASKED: dict[str, Any] = {"size": "96x96", "num_frames": 9, "num_inference_steps": 5}
PLAN = plan(
    settle(RequestedWorld(prompt="x", **ASKED), MODEL, Workflow.VIDEO2WORLD, conditioning=ArtifactRef(digest="0" * 64, size=0)),
    MODEL,
)


@dataclass(frozen=True)
class Sample:
    """Seconds: from the POST to the last byte of the video; inside stages; waiting for a stage that was busy."""

    end_to_end: float
    inside: float
    waiting: float
    stages: dict[str, float]


def run(stack: Stack, models_dir: Path, results: Path, jobs: int) -> dict[str, Any]:
    for number in range(5):
        one_job(stack, 10_000 + number)
    alone = [one_job(stack, number) for number in range(jobs)]
    with ThreadPoolExecutor(8) as pool:
        started = time.perf_counter()
        crowded = list(pool.map(lambda number: one_job(stack, 20_000 + number), range(jobs)))
        throughput = jobs / (time.perf_counter() - started)
    pipeline = diffusers_seconds(models_dir, max(20, jobs // 4))
    rows = {
        "diffusers pipeline": spread(pipeline),
        "end to end, 1 at a time": spread([s.end_to_end for s in alone]),
        "  inside stages": spread([s.inside for s in alone]),
        "  overhead": spread([s.end_to_end - s.inside for s in alone]),
        "end to end, 8 at a time": spread([s.end_to_end for s in crowded]),
        "  inside stages ": spread([s.inside for s in crowded]),
        "  waiting for busy stages": spread([s.waiting for s in crowded]),
        "  overhead, waiting included": spread([s.end_to_end - s.inside for s in crowded]),
        "  overhead, waiting apart": spread([s.end_to_end - s.inside - s.waiting for s in crowded]),
    }
    stages = {name: spread([s.stages[name] for s in alone]) for name in alone[0].stages}
    show("video2world, tiny-predict2, 96x96, 9 frames, 5 steps", rows)
    show("inside each task's stage, 1 at a time", stages)
    write(results, "overhead", {"rows": rows, "stages": stages, "jobs_per_second_at_8": throughput, "asked": ASKED})
    return headline(rows, stages, throughput)


def headline(rows: dict[str, Spread], stages: dict[str, Spread], throughput: float) -> dict[str, Any]:
    alone, crowded = rows["  overhead"], rows["  overhead, waiting apart"]
    return {
        "jobs": alone.n,
        "overhead_p50_ms_c1": round(1000 * alone.p50, 1),
        "overhead_p95_ms_c1": round(1000 * alone.p95, 1),
        "overhead_p50_ms_c8": round(1000 * crowded.p50, 1),
        "overhead_p95_ms_c8": round(1000 * crowded.p95, 1),
        "overhead_with_waiting_p50_ms_c8": round(1000 * rows["  overhead, waiting included"].p50, 1),
        "overhead_with_waiting_p95_ms_c8": round(1000 * rows["  overhead, waiting included"].p95, 1),
        "jobs_per_second_c8": round(throughput, 2),
        "end_to_end_over_diffusers_c1": round(rows["end to end, 1 at a time"].p50 / rows["diffusers pipeline"].p50, 2),
        "stage_p50_ms": {name: round(1000 * s.p50, 1) for name, s in stages.items()},
    }


def one_job(stack: Stack, number: int) -> Sample:
    picture = png(scene(1, 96, 96, seed=number)[0])
    form = {name: str(value) for name, value in ASKED.items()} | {"prompt": f"cart number {number}", "seed": str(number)}
    with httpx.Client(base_url=stack.client.base_url, timeout=120, trust_env=False) as client:
        started = time.perf_counter()
        job = client.post("/v1/videos", data=form, files={"input_reference": ("a.png", picture)}).raise_for_status().json()
        wait_by_events(client, job["id"])
        client.get(f"/v1/videos/{job['id']}/content").raise_for_status()
        end_to_end = time.perf_counter() - started
        rows = {row["id"]: row for row in client.get(f"/v1/videos/{job['id']}").raise_for_status().json()["timeline"]}
    assert not any(row["memo"] for name, row in rows.items() if name != "encode_negative_text")
    chain = [rows[name] for name in deciding(rows)]
    inside = sum(row["stage_seconds"] for row in chain)
    waiting = sum(row["started_at"] - row["queued_at"] for row in chain)
    return Sample(end_to_end, inside, waiting, {name: row["stage_seconds"] for name, row in rows.items()})


def wait_by_events(client: httpx.Client, job_id: str) -> None:
    with client.stream("GET", f"/v1/videos/{job_id}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("event: job.") and line.removeprefix("event: job.") in ("completed", "failed", "cancelled"):
                assert line == "event: job.completed", line
                return


def deciding(rows: dict[str, dict[str, Any]]) -> list[str]:
    """From the last task back, always to what finished last of what was needed."""
    chain = [PLAN.tasks[-1].id]
    while needs := PLAN.task(chain[-1]).needs:
        chain.append(max(needs, key=lambda need: rows[need]["finished_at"]))
    return chain


def diffusers_seconds(models_dir: Path, runs: int) -> list[float]:
    """The pipeline alone, in this process, from a picture to frames; no file is written and nothing is checked."""
    call = diffusers_call(models_dir)
    seconds = []
    for number in range(runs + 2):
        started = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - started)
    return seconds[2:]


def diffusers_call(models_dir: Path) -> Callable[[int], object]:
    import pytest

    from orrery.stages.denoiser import official_noise
    from stages.reference import Reference, stand_in_for_torchvision

    stand_in_for_torchvision(pytest.MonkeyPatch())
    reference = Reference(models_dir)
    shape = (1, 16, *MODEL.compression.latent_shape(9, 96, 96))

    def call(number: int) -> object:
        noise = official_noise(number, shape)
        frames = scene(1, 96, 96, seed=number)
        texts = {"prompt": f"cart number {number}", "negative_prompt": catalog.predict2.NEGATIVE_PROMPT}
        sizes = {"height": 96, "width": 96, "num_frames": 9, "num_inference_steps": 5, "guidance_scale": 7.0}
        return reference.video2world(np.asarray(frames), **texts, **sizes, latents=noise, seed=number)

    return call
