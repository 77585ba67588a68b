"""Jobs of the default model that last, and what their timelines say of who did them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import count

from compose.project import Project, eventually
from orrery.sdk import Client
from orrery.sdk.results import Task, World
from orrery.sdk.retrying import Retries
from orrery.worlds.catalog import DEFAULT_MODEL, find
from orrery.worlds.catalog.models import Workflow

STEPS = 100
"""The most that a model takes, so that a denoising outlasts what is done to it."""

AHEAD = 4
"""Jobs for two denoisers, and as many that wait."""

PATIENT = Retries(times=600, first=0.1, longest=0.1)
"""A gateway that starts again is asked until it answers."""

_SEEDS = count(1)


def patient(project: Project) -> Client:
    return Client(project.url, retries=PATIENT)


def long_job(client: Client) -> World:
    """One that nobody made before, with as many frames as the model takes."""
    world = find(DEFAULT_MODEL).denoiser(Workflow.TEXT2WORLD)
    asked = {"num_frames": world.num_frames.maximum, "num_inference_steps": STEPS}
    return client.create("a cart crosses the yard", seed=next(_SEEDS), **asked)


def denoising(world: World) -> Task:
    """Of a job of text2world, which has it from its first moment."""
    return next(task for task in world.timeline if task.id == "denoise")


def denoised_by(world: World) -> str:
    """The short id of the container whose worker has the job's denoising, or had it last."""
    return str(denoising(world).worker or "").partition("-")[0]


def denoisings(worlds: Iterable[World]) -> list[Task]:
    """What a denoiser did for these jobs."""
    tasks = (task for world in worlds for task in world.timeline if task.stage == "denoiser")
    return [task for task in tasks if task.state == "done" and not task.memo]


def busiest(worlds: Iterable[World]) -> int:
    """How many denoising tasks were at work at once."""
    changes = Counter[float]()
    for task in denoisings(worlds):
        changes[task.started_at] += 1
        changes[task.finished_at] -= 1
    running = [sum(changes[at] for at in changes if at <= moment) for moment in changes]
    return max(running)


class Waiting:
    """Long jobs, of which there are always some that wait, however long something takes to start."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jobs: list[str] = []

    def workers(self) -> set[str]:
        """Who has their denoising now or had it; adds jobs where too few are left."""
        worlds = [self._client.get(job) for job in self._jobs]
        for _ in range(AHEAD - sum(not world.ended for world in worlds)):
            self._jobs.append(long_job(self._client).id)
        return {task.worker for world in worlds for task in world.timeline if task.id == "denoise" and task.worker}

    def end(self) -> list[World]:
        """Cancels what no worker has, and waits for the rest."""
        for job in self._jobs:
            if not denoised_by(self._client.get(job)):
                self._client.cancel(job)
        return [eventually(lambda job=job: (now := self._client.get(job)).ended and now, seconds=120) for job in self._jobs]
