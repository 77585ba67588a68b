"""Jobs, tasks and events as every process sees them, and the states they may be in."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from orrery.worlds.contracts import CONTRACTS
from orrery.worlds.plan import ArtifactRef, Frozen, Plan, Task

STEPPED_STAGES = frozenset(contract.name for contract in CONTRACTS.values() if contract.decoupled)
STEPPED_WEIGHT = 20


class JobState(StrEnum):
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return not JOB_TRANSITIONS[self]


JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.IN_PROGRESS, JobState.CANCELLED, JobState.FAILED}),
    JobState.IN_PROGRESS: frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}),
    JobState.COMPLETED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class TaskState(StrEnum):
    WAITING = "waiting"  # for other tasks of its plan
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: frozenset({TaskState.QUEUED, TaskState.CANCELLED}),
    TaskState.QUEUED: frozenset({TaskState.RUNNING, TaskState.CANCELLED, TaskState.FAILED}),
    TaskState.RUNNING: frozenset({TaskState.RUNNING, TaskState.QUEUED, TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED}),
    TaskState.DONE: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}


class Priority(StrEnum):
    """Classes of waiting work, the most urgent first."""

    INTERACTIVE = "interactive"
    STANDARD = "standard"
    BATCH = "batch"


class Idempotency(Frozen):
    """The client's own name for a request, and a digest of the request's body."""

    key: str
    body_digest: str


class Submission(Frozen):
    """A job as the gateway hands it in. `request` is the client's request, `notes` what was done to its inputs.

    `retention` is how many seconds the job is kept after its end; None leaves that to the store. `trace` is the W3C
    `traceparent` that the job's tasks are traced under.
    """

    job_id: str
    model: str
    workflow: str
    request: dict[str, Any]
    plan: Plan
    notes: dict[str, Any] = Field(default_factory=dict)
    tenant: str = "default"
    priority: Priority = Priority.STANDARD
    idempotency: Idempotency | None = None
    retention: float | None = None
    trace: str | None = None


class TaskRecord(Frozen):
    """One row of a job's timeline.

    Times are Unix seconds of the store's clock; `stage_seconds` was measured inside the stage. `steps_run` adds up the
    steps that all attempts reported, so that what was done twice can be told. `checkpoint_step` is where the next attempt
    would go on.
    """

    id: str
    stage: str
    pool: str
    state: TaskState
    attempt: int = 0
    worker: str | None = None
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    memo: bool = False
    stage_seconds: float | None = None
    step: int | None = None
    num_steps: int | None = None
    checkpoint_step: int | None = None
    preemptions: int = 0
    leases_lost: int = 0
    steps_run: int = 0
    outputs: dict[str, ArtifactRef] = Field(default_factory=dict)

    @property
    def weight(self) -> int:
        """Its part in the job's progress."""
        return STEPPED_WEIGHT if self.stage in STEPPED_STAGES else 1

    @property
    def share_done(self) -> float:
        if self.state is TaskState.DONE:
            return 1.0
        return (self.step or 0) / self.num_steps if self.num_steps else 0.0


class PreviewNote(Frozen):
    """That there is a preview, of the work after `step`; its size in pixels."""

    step: int
    width: int
    height: int


class Preview(PreviewNote):
    """A small image of what a job makes."""

    image: bytes
    media_type: str = "image/jpeg"

    @property
    def note(self) -> PreviewNote:
        return PreviewNote(step=self.step, width=self.width, height=self.height)


class Job(Frozen):
    """`error` is an `OrreryError.to_dict()`; `result` is filled when the job is completed, `expires_at` when it ends.

    `preview` is of a job that runs, `trace` as in its submission.
    """

    id: str
    model: str
    workflow: str
    request: dict[str, Any]
    notes: dict[str, Any] = Field(default_factory=dict)
    tenant: str = "default"
    priority: Priority = Priority.STANDARD
    state: JobState
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    result: dict[str, ArtifactRef] = Field(default_factory=dict)
    error: dict[str, Any] | None = None
    preview: PreviewNote | None = None
    trace: str | None = None
    tasks: tuple[TaskRecord, ...]

    @property
    def stage(self) -> str | None:
        """The stage that the job is in: of its running tasks the last in plan order, else the first queued one."""
        running = [t.stage for t in self.tasks if t.state is TaskState.RUNNING]
        queued = [t.stage for t in self.tasks if t.state is TaskState.QUEUED]
        return running[-1] if running else queued[0] if queued else None

    @property
    def progress(self) -> float:
        """Share of the work done, 0 to 1. A task that counts steps weighs as much as twenty that do not.

        The weights are the same from the first moment on, so that progress never goes back while a job goes on.
        """
        if self.state is JobState.COMPLETED:
            return 1.0
        return sum(t.weight * t.share_done for t in self.tasks) / sum(t.weight for t in self.tasks)


class JobPage(Frozen):
    jobs: tuple[Job, ...]
    has_more: bool


class Claim(Frozen):
    """A worker's hold on one task. `token` fences it: no write is accepted under another token.

    `checkpoint` is what an earlier attempt left, taken after `checkpoint_step` steps. `waited` is for how many seconds nobody
    held the task; None if it was taken from a worker whose lease ran out. `trace` is the job's.
    """

    job_id: str
    task: Task
    attempt: int
    token: str
    worker: str
    inputs: dict[str, ArtifactRef]
    checkpoint: ArtifactRef | None = None
    checkpoint_step: int = 0
    waited: float | None = None
    trace: str | None = None


class Completion(Frozen):
    outputs: dict[str, ArtifactRef]
    memo: bool
    stage_seconds: float


class Standing(StrEnum):
    """The store's answer to a worker's write.

    After LOST or CANCELLED nothing that the worker does counts any more. PREEMPTED is still owned, but somebody more urgent
    waits: leave a checkpoint and release the task at the next step.
    """

    OWNED = "owned"
    PREEMPTED = "preempted"
    LOST = "lost"
    CANCELLED = "cancelled"


class Event(Frozen):
    """`id` orders all events of a store.

    Types: job.queued, job.in_progress, job.progress, job.completed, job.failed, job.cancelled.
    """

    id: str
    job_id: str
    type: str
    at: float
    data: dict[str, Any] = Field(default_factory=dict)


class Signal(Frozen):
    """Word to the workers: the job is cancelled (`task_id` None), or one task is to be handed back."""

    kind: Literal["cancel", "preempt"]
    job_id: str
    task_id: str | None = None


class ServiceRate(Frozen):
    """`completed` tasks of a pool so far, and the `seconds` that one occupies a worker: a moving average."""

    completed: int
    seconds: float


class PoolStatus(Frozen):
    """`waiting` tasks nobody holds, `running` tasks somebody holds, `workers` announced and not gone silent."""

    waiting: int
    running: int
    workers: int

    @property
    def depth(self) -> int:
        return self.waiting + self.running


class Incidents(Frozen):
    """How often what should be rare has happened, by pool, since the store began; `dead` jobs there are now."""

    leases_lost: dict[str, int] = Field(default_factory=dict)
    retries: dict[str, int] = Field(default_factory=dict)
    preemptions: dict[str, int] = Field(default_factory=dict)
    dead_letters: dict[str, int] = Field(default_factory=dict)
    dead: int = 0


INCIDENTS = tuple(name for name in Incidents.model_fields if name != "dead")
"""The kinds of them."""
