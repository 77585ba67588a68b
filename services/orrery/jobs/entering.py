"""What `submit.lua` is given of a submission, and what becomes of its answer.

A new job is not read back: all that the store adds are its times.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

from orrery.jobs import graph, wire
from orrery.jobs.answers import conflict, queue_full
from orrery.jobs.looks import Look
from orrery.jobs.records import Job, JobState, Submission, TaskRecord, TaskState
from orrery.jobs.rules import Rules
from orrery.worlds.plan import Plan, Task


def args(submission: Submission, rules: Rules, *, placed: bool) -> list[str | int | float]:
    """The job, the bounds, the idempotency key, and the plan, whose fields are written as they stand here."""
    outline = graph.outline(submission.plan)
    retention = rules.retention if submission.retention is None else submission.retention
    return [
        submission.job_id,
        submission.model,
        submission.workflow,
        json.dumps(submission.request),
        json.dumps(submission.notes),
        submission.tenant,
        submission.priority,
        retention,
        rules.max_waiting_per_pool,
        rules.max_waiting_per_tenant,
        *_idempotency(submission),
        math.ceil(rules.remembered),
        int(placed),
        submission.trace or "",
        _rows(outline),
        *_fields(outline),
        *_own_fields(submission.plan),
    ]


def _idempotency(submission: Submission) -> tuple[str, str]:
    """The name of the key, which is its tenant's own, and the digest of the body; none: empty."""
    given = submission.idempotency
    if given is None:
        return "", ""
    name = json.dumps([submission.tenant, given.key])
    return hashlib.sha256(name.encode()).hexdigest(), given.body_digest


@lru_cache(256)
def _rows(outline: graph.Outline) -> str:
    """Of each task id, stage, pool, and how many others it waits for."""
    return json.dumps([[node.id, node.stage, node.pool, len(node.needs)] for node in outline.nodes])


@lru_cache(256)
def _fields(outline: graph.Outline) -> tuple[str, ...]:
    """Names and values that many plans share: there are few outlines, and many jobs of each.

    Lists stay text inside the scripts: Lua would turn [] into {}.
    """
    followers, promised = graph.followers(outline), graph.promised(outline)
    fields = {"tasks": json.dumps([node.id for node in outline.nodes]), "remaining": str(len(outline.nodes))}
    for node in outline.nodes:
        fields[f"needs:{node.id}"] = json.dumps(node.needs)
        fields[f"left:{node.id}"] = str(len(node.needs))
        fields[f"followers:{node.id}"] = json.dumps(followers[node.id])
        fields[f"promised:{node.id}"] = json.dumps(promised[node.id])
    return tuple(word for pair in fields.items() for word in pair)


def _own_fields(plan: Plan) -> list[str]:
    """Names and values of this plan alone."""
    specs = [word for task in plan.tasks for word in (f"spec:{task.id}", task.text)]
    return ["result", wire.Sources.dump_json(plan.result).decode(), *specs]


def look_of(submission: Submission, reply: list[Any]) -> Look:
    """The job and its place. Raises `QueueFull`, `IdempotencyConflict`."""
    answer, *rest = reply
    return ANSWERS[answer](submission, *rest)


def _entered(submission: Submission, place: int, created_at: str, *queued: str) -> Look:
    queued_at = wire.pairs(queued)
    tasks = tuple(_record(task, queued_at.get(task.id)) for task in submission.plan.tasks)
    job = Job(
        id=submission.job_id,
        model=submission.model,
        workflow=submission.workflow,
        request=submission.request,
        notes=submission.notes,
        tenant=submission.tenant,
        priority=submission.priority,
        trace=submission.trace,
        state=JobState.QUEUED,
        created_at=float(created_at),
        tasks=tasks,
    )
    return job, _place(place)


def _record(task: Task, queued_at: str | None) -> TaskRecord:
    waiting = _waiting(task.id, task.stage, task.pool)
    if queued_at is None:
        return waiting
    return waiting.model_copy(update={"state": TaskState.QUEUED, "queued_at": float(queued_at)})


@lru_cache(256)
def _waiting(task_id: str, stage: str, pool: str) -> TaskRecord:
    """The same for all jobs that have such a task."""
    return TaskRecord(id=task_id, stage=stage, pool=pool, state=TaskState.WAITING)


def _was_there(_submission: Submission, place: int, snapshot: str) -> Look:
    return wire.job(snapshot), _place(place)


def _place(place: int) -> int | None:
    return None if place < 0 else place


def _full(_submission: Submission, pool: str, excess: int, seconds: str, workers: int) -> NoReturn:
    raise queue_full(pool, excess, float(seconds) if seconds else None, workers)


def _conflict(_submission: Submission, job_id: str) -> NoReturn:
    raise conflict(job_id)


ANSWERS: dict[str, Callable[..., Look]] = {
    "new": _entered,
    "there": _was_there,
    "full": _full,
    "conflict": _conflict,
}
