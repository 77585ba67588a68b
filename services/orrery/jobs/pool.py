"""One pool of `MemoryJobs`: what waits, what is held, and how fast it goes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count

from orrery.jobs.accounts import Accounts, average
from orrery.jobs.line import Line
from orrery.jobs.records import INCIDENTS, Incidents, Priority, ServiceRate
from orrery.jobs.roster import Roster
from orrery.jobs.rows import TaskRow
from orrery.jobs.rules import MOST_PREEMPTIONS, PACE_SMOOTHING


@dataclass
class Pool:
    line: Line
    held: list[TaskRow] = field(default_factory=list)
    served: int = 0
    pace: float | None = None
    incidents: Counter[str] = field(default_factory=Counter)

    def lapsed(self, now: float) -> TaskRow | None:
        """The held task whose lease ran out first."""
        late = [row for row in self.held if row.lapses <= now]
        return min(late, key=lambda row: row.lapses, default=None)

    def let_go(self, row: TaskRow) -> None:
        self.held.remove(row)
        row.yields_to = None

    def count(self, seconds: float) -> None:
        """A task is done that held its worker for `seconds`."""
        self.served += 1
        self.pace = average(self.pace, seconds, PACE_SMOOTHING)

    @property
    def rate(self) -> ServiceRate:
        return ServiceRate(completed=self.served, seconds=self.pace or 0.0)


class PoolTable(dict[str, Pool]):
    """Every pool that ever had work, made when it is first asked for."""

    def __init__(self) -> None:
        super().__init__()
        places = count(1)
        self._accounts: defaultdict[str, Accounts] = defaultdict(lambda: Accounts(places))

    def __missing__(self, name: str) -> Pool:
        stage = name.partition("/")[0]
        pool = self[name] = Pool(Line(self._accounts[stage]))
        return pool

    def incidents(self, dead: int) -> Incidents:
        counts = {kind: {name: n for name, pool in self.items() if (n := pool.incidents[kind])} for kind in INCIDENTS}
        return Incidents(dead=dead, **counts)

    def held_of(self, stage: str) -> list[TaskRow]:
        return [row for pool in self.values() for row in pool.held if row.task.stage == stage]

    def victim(self, pool: str, stage: str, roster: Roster) -> TaskRow | None:
        """A batch task of the stage to displace, if more interactive tasks wait than hands are free or about to be.

        One of the pool itself, or of a worker that announced that it serves the pool too.
        """
        held, workers, line = self.held_of(stage), roster.serving(pool), self[pool].line
        # A stage does one task at a time.
        busy = {row.record.worker for row in held}
        hands = sum(row.yields_to == pool for row in held) + line.owed + sum(worker not in busy for worker in workers)
        if line.waiting(Priority.INTERACTIVE) <= hands:
            return None
        movable = [row for row in held if may_yield(row) and (row.task.pool == pool or row.record.worker in workers)]
        return min(movable, key=lambda row: (row.record.preemptions, row.job.head.id, row.task.id), default=None)


def may_yield(row: TaskRow) -> bool:
    return row.priority is Priority.BATCH and row.yields_to is None and row.record.preemptions < MOST_PREEMPTIONS
