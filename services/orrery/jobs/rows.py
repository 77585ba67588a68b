"""A job and its tasks as `MemoryJobs` keeps them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from orrery.jobs import graph
from orrery.jobs.records import (
    JOB_TRANSITIONS,
    TASK_TRANSITIONS,
    Claim,
    Event,
    Job,
    JobState,
    Preview,
    Priority,
    TaskRecord,
    TaskState,
)
from orrery.worlds.plan import ArtifactRef, Plan, Task


@dataclass(eq=False)
class TaskRow:
    """`lapses` is when the lease runs out, `at` the last step reported, `yields_to` the pool it was told to make room for,
    `asked` the pools that it was claimed from.
    """

    job: JobRow
    task: Task
    record: TaskRecord
    needs: set[str]
    token: str | None = None
    ticket: int = 0
    lapses: float = math.inf
    checkpoint: ArtifactRef | None = None
    at: int = 0
    yields_to: str | None = None
    asked: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return not TASK_TRANSITIONS[self.record.state]

    @property
    def tenant(self) -> str:
        return self.job.head.tenant

    @property
    def priority(self) -> Priority:
        return self.job.head.priority

    def note(self, **changes: Any) -> None:
        self.record = self.record.model_copy(update=changes)

    def count_steps(self, step: int, *, reset: bool) -> None:
        """A step that a checkpoint or an attempt went back to counts again when it is done again."""
        self.note(steps_run=self.record.steps_run + max(0, step - self.at))
        self.at = step if reset else max(step, self.at)

    def claimed(self, worker: str, waited: float | None) -> Claim:
        """What the worker that holds it is given."""
        return Claim(
            job_id=self.job.head.id,
            task=self.task,
            attempt=self.record.attempt,
            token=str(self.token),
            worker=worker,
            inputs=graph.resolve(self.task.inputs, self.job.outputs),
            checkpoint=self.checkpoint,
            checkpoint_step=self.at,
            waited=waited,
            trace=self.job.head.trace,
        )

    def forget_checkpoint(self) -> None:
        self.checkpoint = None
        self.note(checkpoint_step=None)

    def move(self, state: TaskState, **changes: Any) -> None:
        if state not in TASK_TRANSITIONS[self.record.state]:
            raise ValueError(f"{self.record.id} may not go from {self.record.state} to {state}")
        self.note(state=state, **changes)


@dataclass(eq=False)
class JobRow:
    """`head` is the record without its tasks and result; `untold` that no event told of the preview yet."""

    head: Job
    plan: Plan
    retention: float
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    preview: Preview | None = None
    preview_until: float = 0.0
    untold: bool = False

    def move(self, state: JobState, **changes: Any) -> None:
        if state not in JOB_TRANSITIONS[self.head.state]:
            raise ValueError(f"{self.head.id} may not go from {self.head.state} to {state}")
        self.head = self.head.model_copy(update={"state": state, **changes})

    def show(self, preview: Preview | None, until: float) -> None:
        """None takes back what is shown."""
        self.preview, self.preview_until, self.untold = preview, until, preview is not None
        self.head = self.head.model_copy(update={"preview": preview.note if preview else None})

    def tell_preview(self) -> dict[str, Any]:
        """What the next event says of a preview that none told of yet."""
        told, self.untold = self.untold, False
        return {"preview": self.preview.note.model_dump()} if told and self.preview else {}

    @property
    def outputs(self) -> graph.Outputs:
        return {name: row.record.outputs for name, row in self.tasks.items()}

    def record(self) -> Job:
        done = self.head.state is JobState.COMPLETED
        result = graph.resolve(self.plan.result, self.outputs) if done else {}
        tasks = tuple(row.record for row in self.tasks.values())
        return self.head.model_copy(update={"result": result, "tasks": tasks})
