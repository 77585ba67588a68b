"""One pool of `MemoryJobs`: what waits, what is held, and how fast it goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from orrery.jobs.line import Line, average
from orrery.jobs.records import Priority, ServiceRate
from orrery.jobs.rows import TaskRow
from orrery.jobs.rules import MOST_PREEMPTIONS, PACE_SMOOTHING


@dataclass
class Pool:
    """`yielding` are the held tasks that were told to make room."""

    line: Line = field(default_factory=Line)
    held: list[TaskRow] = field(default_factory=list)
    yielding: list[TaskRow] = field(default_factory=list)
    served: int = 0
    pace: float | None = None

    def lapsed(self, now: float) -> TaskRow | None:
        """The held task whose lease ran out first."""
        late = [row for row in self.held if row.lapses <= now]
        return min(late, key=lambda row: row.lapses, default=None)

    def let_go(self, row: TaskRow) -> None:
        self.held.remove(row)
        if row in self.yielding:
            self.yielding.remove(row)

    def victim(self, idle: int) -> TaskRow | None:
        """A batch task to displace, if more interactive tasks wait than hands are free or about to be."""
        if self.line.waiting(Priority.INTERACTIVE) <= len(self.yielding) + self.line.owed + idle:
            return None
        preemptable = [row for row in self.held if row.priority is Priority.BATCH and row not in self.yielding]
        fresh = [row for row in preemptable if row.record.preemptions < MOST_PREEMPTIONS]
        return min(fresh, key=lambda row: (row.record.preemptions, row.job.head.id, row.task.id), default=None)

    def count(self, row: TaskRow, seconds: float, stage_seconds: float) -> None:
        """A task is done that held its worker for `seconds`."""
        self.served += 1
        self.pace = average(self.pace, seconds, PACE_SMOOTHING)
        self.line.charge(row, stage_seconds)

    @property
    def rate(self) -> ServiceRate:
        return ServiceRate(completed=self.served, seconds=self.pace or 0.0)
