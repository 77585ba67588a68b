"""The seam to the job store. `RedisJobs` and `MemoryJobs` implement all three protocols and pass the same tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Literal, Protocol

from orrery.jobs.records import (
    Claim,
    Completion,
    Event,
    Incidents,
    Job,
    JobPage,
    JobState,
    PoolStatus,
    Preview,
    ServiceRate,
    Signal,
    Standing,
    Submission,
)
from orrery.worlds.plan import ArtifactRef


class JobStore(Protocol):
    """What a gateway needs."""

    async def submit(self, submission: Submission) -> Job:
        """Writes the job and queues the tasks that need nothing, in one transaction.

        Raises `QueueFull`, and writes nothing, if too much waits. Raises `IdempotencyConflict` if the idempotency key was
        used before with another body, or its job was deleted; with the same body it gives the job that is there.
        """
        ...

    async def enter(self, submission: Submission) -> tuple[Job, int | None]:
        """As `submit`, and the job's `position`, read in the same transaction."""
        ...

    async def get(self, job_id: str) -> Job:
        """Raises `JobNotFound`."""
        ...

    async def look(self, job_id: str) -> tuple[Job, int | None]:
        """The job and its `position`, read together. Raises `JobNotFound`."""
        ...

    async def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Of those jobs that are there."""
        ...

    async def list(self, *, after: str | None, limit: int, order: Literal["asc", "desc"], tenant: str | None = None) -> JobPage:
        """Jobs by creation, of one tenant or of all; `after` is the id of one of them. Raises `JobNotFound` if it is not."""
        ...

    async def cancel(self, job_id: str) -> Job:
        """Ends the job unless it has ended; its queued tasks are never run, its running ones are told. Raises `JobNotFound`."""
        ...

    async def delete(self, job_id: str) -> Job:
        """Cancels, then forgets the job; gives its last record. Raises `JobNotFound`."""
        ...

    async def position(self, job_id: str) -> int | None:
        """Number of tasks of its pool handed out before the job's next queued one, if nothing else comes; 0 = next.

        Exact inside a class, estimated from the weights between classes. Who serves other pools too may take of theirs in
        between: they are not counted. None if nothing of the job is queued. Raises `JobNotFound`.
        """
        ...

    async def preview(self, job_id: str) -> Preview | None:
        """The newest of a job that runs; none is kept for longer than an hour."""
        ...

    async def dead(self, limit: int) -> Sequence[Job]:
        """Jobs that failed with `attempts_exhausted`, the latest first."""
        ...

    async def requeue(self, job_id: str) -> Job:
        """Gives a dead job fresh attempts; its done tasks stay done. A job that is not dead stays as it is.

        Raises `JobNotFound`.
        """
        ...

    async def expired(self, limit: int) -> Sequence[str]:
        """Ids of jobs past their `expires_at`, the longest expired first."""
        ...

    def live_artifacts(self) -> AsyncIterator[str]:
        """Digests that the jobs name as inputs, outputs or checkpoints; some come more than once.

        What is named while the iterator runs may be missing.
        """
        ...

    def events(self, *, job_id: str | None = None, after: str | None = "0") -> AsyncIterator[Event]:
        """Events later than the id `after`, oldest first, then each as it comes. None: from now on.

        Of one job the iterator stops after its end.
        """
        ...


class TaskQueue(Protocol):
    """What a worker needs. Each write proves ownership in the same transaction."""

    async def claim(self, pools: Sequence[str], worker: str, *, wait: float) -> Claim | None:
        """One task of the pools: one whose lease ran out before a new one.

        New ones as if all pools were one queue: by weighted turns of the priorities, in each by turns of the tenants, of a
        tenant the oldest. None if there is none for `wait` seconds.

        A task on its last attempt whose lease ran out ends its job with `attempts_exhausted` and is not handed out.
        """
        ...

    async def renew(self, claim: Claim) -> Standing: ...

    async def progress(self, claim: Claim, step: int, num_steps: int) -> Standing: ...

    async def show(self, claim: Claim, preview: Preview) -> Standing:
        """Shows what there is, until the next one or the job's end. The next `job.progress` says so.

        Raises `PreviewTooLarge`, and writes nothing, beyond 64 KiB.
        """
        ...

    async def checkpoint(self, claim: Claim, ref: ArtifactRef, step: int) -> Standing:
        """Records where the next attempt would go on."""
        ...

    async def complete(self, claim: Claim, completion: Completion) -> Standing:
        """Records outputs, queues the tasks that became ready, and completes the job with its last task."""
        ...

    async def fail(self, claim: Claim, error: dict[str, object], *, retry: bool) -> Standing:
        """Queues the task again if `retry` and attempts are left; otherwise fails the job and drops its other tasks.

        A task that used up its attempts makes its job a dead one, whose error is `attempts_exhausted` with the last reason.
        """
        ...

    async def release(self, claim: Claim) -> Standing:
        """Hands the task back at once to its old place, with its checkpoint, without counting the attempt."""
        ...


class Pools(Protocol):
    """Who serves which pool, and how much waits there."""

    async def announce(self, worker: str, pools: Iterable[str], *, seconds: float) -> None:
        """Says that `worker` serves `pools` for the next `seconds`; no pools withdraws it."""
        ...

    async def pools(self) -> dict[str, PoolStatus]:
        """Every pool that has or had work or has a worker."""
        ...

    async def rates(self) -> dict[str, ServiceRate]:
        """How fast each pool works that has completed a task."""
        ...

    async def incidents(self) -> Incidents:
        """What happened that should be rare."""
        ...

    def signals(self) -> AsyncIterator[Signal]:
        """What running work is told, from now on."""
        ...
