"""Jobs of the default model that last, and what their timelines say of who did them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import count

from compose.project import Project
from orrery.sdk import Client
from orrery.sdk.results import Task, World
from orrery.sdk.retrying import Retries
from orrery.worlds.catalog import DEFAULT_MODEL, find
from orrery.worlds.catalog.models import Workflow

STEPS = 100
"""The most that a model takes."""

PATIENT = Retries(times=600, first=0.1, longest=0.1)
"""A gateway that starts again is asked until it answers."""

_SEEDS = count(1)


def patient(project: Project) -> Client:
    return Client(project.url, retries=PATIENT)


def long_job(client: Client) -> World:
    """One that nobody made before: as many frames and steps as the model takes."""
    world = find(DEFAULT_MODEL).denoiser(Workflow.TEXT2WORLD)
    asked = {"num_frames": world.num_frames.maximum, "num_inference_steps": STEPS}
    return client.create("a cart crosses the yard", seed=next(_SEEDS), **asked)


def denoising(world: World) -> Task:
    return next(task for task in world.timeline if task.id == "denoise")


def denoised_by(world: World) -> str:
    """The short id of the container whose worker has the job's denoising, or had it last."""
    return str(denoising(world).worker or "").partition("-")[0]


def busiest(worlds: Iterable[World]) -> int:
    """How many of the denoising tasks of these ended jobs were at work at once."""
    tasks = [task for world in worlds for task in world.timeline if task.stage == "denoiser" and not task.memo]
    changes = Counter[float]()
    for task in tasks:
        changes[task.started_at] += 1
        changes[task.finished_at] -= 1
    running = [sum(changes[at] for at in changes if at <= moment) for moment in changes]
    return max(running)
