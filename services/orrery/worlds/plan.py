"""A job is a plan; a plan is a graph of tasks. Pure data, shared by every process."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

Scalar = str | bool | int | float
Parameters = dict[str, Scalar | list[int]]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArtifactRef(Frozen):
    """Names stored bytes by their SHA-256 (`digest`, 64 hex digits); `size` in bytes."""

    digest: str
    size: int
    media_type: str = "application/octet-stream"


class TaskOutput(Frozen):
    """An output of another task of the same plan."""

    task: str
    output: str


Source = TaskOutput | ArtifactRef


class Task(Frozen):
    """One call of one stage. `inputs` are tensors by name, `parameters` scalars by name, as the stage's contract declares."""

    id: str
    stage: str
    component: str | None = None
    parameters: Parameters = {}
    inputs: dict[str, Source] = {}
    after: tuple[str, ...] = ()
    """Tasks to wait for although nothing of theirs is read (guardrails)."""

    @property
    def pool(self) -> str:
        """The queue this task waits in: one per stage and component."""
        return f"{self.stage}/{self.component}" if self.component else self.stage

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the tasks that must be done first, without repetition."""
        read = [s.task for s in self.inputs.values() if isinstance(s, TaskOutput)]
        return tuple(dict.fromkeys([*read, *self.after]))


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
