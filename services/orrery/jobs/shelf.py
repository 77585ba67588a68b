"""What a `Ledger` keeps of its jobs and tells of them: records, pages, events, what is dead, expired or still named."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from orrery.jobs.answers import no_such_job
from orrery.jobs.records import Event, Job, JobPage, JobState, Preview
from orrery.jobs.rows import JobRow
from orrery.worlds.errors import AttemptsExhausted

EVENTS_KEPT = 50_000


def number_of(event_id: str) -> int:
    return int(event_id.split("-")[0])


class Shelf:
    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self.jobs: dict[str, JobRow] = {}
        self.changes = 0
        """Number of events so far."""

    def row(self, job_id: str) -> JobRow:
        if job_id not in self.jobs:
            raise no_such_job(job_id)
        return self.jobs[job_id]

    def preview(self, job_id: str) -> Preview | None:
        job = self.jobs.get(job_id)
        return job.preview if job and self._clock() < job.preview_until else None

    def page(self, after: str | None, limit: int, order: Literal["asc", "desc"], tenant: str | None) -> JobPage:
        ids = [job_id for job_id, job in self.jobs.items() if tenant in (None, job.head.tenant)]
        ids = ids if order == "asc" else ids[::-1]
        if after is not None:
            if after not in ids:
                raise no_such_job(after)
            ids = ids[ids.index(after) + 1 :]
        return JobPage(jobs=tuple(self.jobs[job_id].record() for job_id in ids[:limit]), has_more=len(ids) > limit)

    def dead(self, limit: int) -> list[Job]:
        found = [job for job in self.jobs.values() if is_dead(job)]
        found.sort(key=lambda job: job.head.finished_at or 0, reverse=True)
        return [job.record() for job in found[:limit]]

    def expired(self, limit: int) -> list[str]:
        heads = [job.head for job in self.jobs.values()]
        due = sorted((head.expires_at, head.id) for head in heads if head.expires_at is not None)
        return [job_id for expires_at, job_id in due if expires_at <= self._clock()][:limit]

    def artifacts(self) -> Iterator[str]:
        for job in list(self.jobs.values()):
            yield from (ref.digest for ref in job.plan.uploads)
            for row in job.tasks.values():
                kept = [row.checkpoint] if row.checkpoint else []
                yield from (ref.digest for ref in (*kept, *row.record.outputs.values()))

    def later(self, job_id: str | None, number: int) -> Sequence[Event]:
        """Events, of one job or of all, after the one of that number."""
        if job_id is None:
            return [event for event in self._events if number_of(event.id) > number]
        job = self.jobs.get(job_id)
        return [event for event in job.events if number_of(event.id) > number] if job else []

    def is_over(self, job_id: str) -> bool:
        """Whether no event of the job can follow."""
        return job_id not in self.jobs or self.jobs[job_id].head.state.ended

    def emit(self, job: JobRow, kind: str, data: dict[str, Any] | None = None) -> None:
        self.changes += 1
        event = Event(id=f"{self.changes}-0", job_id=job.head.id, type=kind, at=self._clock(), data=data or {})
        self._events.append(event)
        job.events.append(event)


def is_dead(job: JobRow) -> bool:
    error = job.head.error or {}
    return job.head.state is JobState.FAILED and error.get("code") == AttemptsExhausted.code
