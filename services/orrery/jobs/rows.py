"""A job and its tasks as `MemoryJobs` keeps them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from orrery.jobs import graph
from orrery.jobs.records import JOB_TRANSITIONS, TASK_TRANSITIONS, Event, Job, JobState, TaskRecord, TaskState
from orrery.worlds.plan import Plan, Task


@dataclass(eq=False)
class TaskRow:
    """`lapses` is when the lease runs out: never for a task that was not claimed yet, long ago for a released one."""

    job: JobRow
    task: Task
    record: TaskRecord
    needs: set[str]
    token: str | None = None
    ticket: int = 0
    lapses: float = math.inf

    @property
    def ended(self) -> bool:
        return not TASK_TRANSITIONS[self.record.state]

    def move(self, state: TaskState, **changes: Any) -> None:
        if state not in TASK_TRANSITIONS[self.record.state]:
            raise ValueError(f"{self.record.id} may not go from {self.record.state} to {state}")
        self.record = self.record.model_copy(update={"state": state, **changes})


@dataclass(eq=False)
class JobRow:
    """`head` is the record without its tasks and result."""

    head: Job
    plan: Plan
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def move(self, state: JobState, **changes: Any) -> None:
        if state not in JOB_TRANSITIONS[self.head.state]:
            raise ValueError(f"{self.head.id} may not go from {self.head.state} to {state}")
        self.head = self.head.model_copy(update={"state": state, **changes})

    @property
    def outputs(self) -> graph.Outputs:
        return {name: row.record.outputs for name, row in self.tasks.items()}

    def record(self) -> Job:
        done = self.head.state is JobState.COMPLETED
        result = graph.resolve(self.plan.result, self.outputs) if done else {}
        tasks = tuple(row.record for row in self.tasks.values())
        return self.head.model_copy(update={"result": result, "tasks": tasks})
