"""Stages in this process, and a plan run through them: no Triton, no job store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from orrery.stages.stage import Cancelled, Stage, StageSettings, stage_class
from orrery.worlds.plan import Plan, TaskOutput

ROOT = Path(__file__).parents[2]
TEXT_ENCODER = "tiny-t5"
VIDEO_TOKENIZER = "tiny-wan-vae"
IMAGE = "tiny-predict2-text2image"
WORLD = "tiny-predict2-video2world"


class Stages(Mapping[str, Stage]):
    """Every stage, made on first use."""

    def __init__(self, settings: StageSettings):
        self._settings = settings
        self._made: dict[str, Stage] = {}

    def __getitem__(self, name: str) -> Stage:
        if name not in self._made:
            self._made[name] = stage_class(name)(self._settings)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


@dataclass
class PlainCall:
    """Records what a stage reports and whom it calls.

    `steps_allowed` is the number of steps after which it is cancelled, `yields_after` that after which it is asked to yield.
    """

    stages: Mapping[str, Stage]
    steps_allowed: int | None = None
    yields_after: int | None = None
    reports: list[dict[str, Any]] = field(default_factory=list)
    inferred: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    looks: int = 0

    @property
    def checkpoints(self) -> dict[int, np.ndarray]:
        """Those handed out, by the step after which they were."""
        return {report["step"]: report["checkpoint"] for report in self.reports if "checkpoint" in report}

    def check_cancelled(self) -> None:
        if self.steps_allowed is not None and len(self.reports) >= self.steps_allowed:
            raise Cancelled

    def wants_yield(self) -> bool:
        self.looks += 1
        return self.yields_after is not None and self.looks > self.yields_after

    def report(self, **progress: Any) -> None:
        self.reports.append(progress)

    def infer(self, stage: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        self.inferred.append((stage, dict(values)))
        return self.stages[stage].run(values, self)


def run_plan(plan: Plan, stages: Mapping[str, Stage], uploads: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Outputs of every task by its id; `uploads` by digest. Guardrails are someone else's to test and are left out."""
    done: dict[str, dict[str, Any]] = {}
    for task in plan.tasks:
        if task.stage.startswith("guardrail"):
            continue
        values: dict[str, Any] = dict(task.parameters)
        if task.component:
            values["component"] = task.component
        for name, source in task.inputs.items():
            values[name] = done[source.task][source.output] if isinstance(source, TaskOutput) else uploads[source.digest]
        done[task.id] = dict(stages[task.stage].run(values, PlainCall(stages)))
    return done


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth coloured picture with some noise, uint8 [H, W, 3]."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    smooth = np.stack([np.sin(5 * x + seed), np.cos(4 * y), np.sin(3 * (x + y) + seed)], axis=-1)
    noisy = 127.5 + 90 * smooth + np.random.RandomState(seed).normal(0, 12, smooth.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def clip(num_frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture that moves, uint8 [T, H, W, 3]."""
    still = picture(height, width, seed)
    return np.stack([np.roll(still, 5 * frame, axis=1) for frame in range(num_frames)])
