"""A job is a plan; a plan is a graph of tasks. Pure data, shared by every process."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Scalar = str | bool | int | float
Parameters = dict[str, Scalar | list[int]]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArtifactRef(Frozen):
    """Names stored bytes by their SHA-256 (`digest`, 64 hex digits); `size` in bytes.

    `text` is what they say, where a contract has it told: whoever has the reference need not fetch them.
    """

    digest: str
    size: int
    media_type: str = "application/octet-stream"
    text: str | None = Field(default=None, exclude_if=lambda text: text is None)


class TaskOutput(Frozen):
    """An output of another task of the same plan."""

    task: str
    output: str


Source = TaskOutput | ArtifactRef


class Task(Frozen):
    """One call of one stage. `inputs` are tensors by name, `parameters` scalars by name, as the stage's contract declares.

    The plans of many jobs share tasks, so what is read off one is kept with it.
    """

    id: str
    stage: str
    component: str | None = None
    parameters: Parameters = Field(default_factory=dict)  # a default is copied deeply, however empty it is
    inputs: dict[str, Source] = Field(default_factory=dict)
    after: tuple[str, ...] = ()
    """Tasks to wait for although nothing of theirs is read (guardrails)."""

    @cached_property
    def pool(self) -> str:
        """The queue this task waits in: one per stage and component."""
        return f"{self.stage}/{self.component}" if self.component else self.stage

    @cached_property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """Of the inputs that other tasks make, the task and its output."""
        return tuple((s.task, s.output) for s in self.inputs.values() if isinstance(s, TaskOutput))

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Ids of the tasks that must be done first, without repetition."""
        return tuple(dict.fromkeys([*(task for task, _ in self.reads), *self.after]))

    @cached_property
    def text(self) -> str:
        """The task as JSON."""
        return self.model_dump_json()


class Plan(Frozen):
    """Tasks in an order in which each comes after what it needs; `result` names the outputs that are the job's result."""

    tasks: tuple[Task, ...]
    result: dict[str, TaskOutput]

    @model_validator(mode="after")
    def _graph_is_ordered(self) -> Plan:
        seen: set[str] = set()
        for task in self.tasks:
            missing = set(task.needs) - seen
            if missing or task.id in seen:
                raise ValueError(f"task {task.id}: repeated, or needs {sorted(missing)} that do not come before it")
            seen.add(task.id)
        return self

    def task(self, task_id: str) -> Task:
        return next(task for task in self.tasks if task.id == task_id)

    @property
    def uploads(self) -> tuple[ArtifactRef, ...]:
        """Artifacts that the plan reads and no task of it makes."""
        return tuple(s for t in self.tasks for s in t.inputs.values() if isinstance(s, ArtifactRef))

    @property
    def pools(self) -> frozenset[str]:
        return frozenset(task.pool for task in self.tasks)


def canonical(value: Any) -> Any:
    """Plain JSON values with a fixed order of keys, so that equal parameters have equal bytes."""
    if isinstance(value, dict):
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value
