"""The seam to the job store. `RedisJobs` and `MemoryJobs` implement all three protocols and pass the same tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Literal, Protocol

from orrery.jobs.records import Claim, Completion, Event, Job, JobPage, PoolStatus, Standing, Submission


class JobStore(Protocol):
    """What a gateway needs."""

    async def submit(self, submission: Submission) -> Job:
        """Writes the job and queues the tasks that need nothing, in one transaction."""
        ...

    async def get(self, job_id: str) -> Job:
        """Raises `JobNotFound`."""
        ...

    async def list(self, *, after: str | None, limit: int, order: Literal["asc", "desc"]) -> JobPage:
        """Jobs by creation; `after` is a job id. Raises `JobNotFound` if there is no such job to start after."""
        ...

    async def cancel(self, job_id: str) -> Job:
        """Ends the job unless it has ended; its queued tasks are never run, its running ones are told. Raises `JobNotFound`."""
        ...

    async def delete(self, job_id: str) -> Job:
        """Cancels, then forgets the job; gives its last record. Raises `JobNotFound`."""
        ...

    def events(self, *, job_id: str | None = None, after: str = "0") -> AsyncIterator[Event]:
        """Events later than the id `after`, oldest first, then each as it comes.

        Of one job the iterator stops after its end.
        """
        ...


class TaskQueue(Protocol):
    """What a worker needs. Each write proves ownership in the same transaction."""

    async def claim(self, pools: Sequence[str], worker: str, *, wait: float) -> Claim | None:
        """One task of any of the pools, in their order: of each, one whose lease ran out before a new one.

        None if there is none for `wait` seconds.

        A task on its last attempt whose lease ran out ends its job with `attempts_exhausted` and is not handed out.
        """
        ...

    async def renew(self, claim: Claim) -> Standing: ...

    async def progress(self, claim: Claim, step: int, num_steps: int) -> Standing: ...

    async def complete(self, claim: Claim, completion: Completion) -> Standing:
        """Records outputs, queues the tasks that became ready, and completes the job with its last task."""
        ...

    async def fail(self, claim: Claim, error: dict[str, object], *, retry: bool) -> Standing:
        """Queues the task again if `retry` and attempts are left; otherwise fails the job and drops its other tasks."""
        ...

    async def release(self, claim: Claim) -> Standing:
        """Hands the task back at once, without counting the attempt."""
        ...


class Pools(Protocol):
    """Who serves which pool, and how much waits there."""

    async def announce(self, worker: str, pools: Iterable[str], *, seconds: float) -> None:
        """Says that `worker` serves `pools` for the next `seconds`; no pools withdraws it."""
        ...

    async def pools(self) -> dict[str, PoolStatus]:
        """Every pool that has or had work or has a worker."""
        ...

    def cancellations(self) -> AsyncIterator[str]:
        """Ids of jobs as they are cancelled, from now on."""
        ...
