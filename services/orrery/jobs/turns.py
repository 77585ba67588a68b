"""Who is next of the lines that `MemoryJobs` was asked for: as if all their tasks stood in one. See `lua/order.lua`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orrery.jobs.line import Line, ticket_of
from orrery.jobs.records import Priority
from orrery.jobs.rows import TaskRow
from orrery.jobs.rules import TURN, WEIGHTS


class Turns:
    """Weighted turns of the classes, in each turns of the tenants, of a tenant the oldest task.

    Each set of pools that is claimed from keeps its own turns of the classes: the shares are exact for everyone, whatever
    others serve beside the same pool.
    """

    def __init__(self) -> None:
        self._behind: dict[frozenset[str], Mapping[Priority, int]] = {}

    def next(self, pools: Collection[str], lines: Sequence[Line]) -> TaskRow | None:
        """Takes out the task that is handed out next."""
        priority = Priority.INTERACTIVE if owes_turn(lines) else self._next_class(frozenset(pools), lines)
        if priority is None:
            return None
        tenant = next_tenant(priority, lines)
        row, line = min(oldest(priority, tenant, lines), key=lambda found: ticket_of(found[0]))
        line.drop(row)
        return row

    def _next_class(self, pools: frozenset[str], lines: Sequence[Line]) -> Priority | None:
        old = self._behind.get(pools, {})
        active = [priority for priority in WEIGHTS if any(line.waiting(priority) for line in lines)]
        behind = {priority: old.get(priority, 0) + WEIGHTS[priority] for priority in active}
        best = max(active, key=behind.__getitem__, default=None)
        if best is not None:
            behind[best] -= sum(WEIGHTS[priority] for priority in active)
        self._behind[pools] = behind
        return best


def owes_turn(lines: Sequence[Line]) -> bool:
    """Whether a displaced task left its turn to an interactive one. The turn of those that are gone lapses."""
    for line in lines:
        if line.owed and line.waiting(Priority.INTERACTIVE):
            line.owed -= 1
            return True
        line.owed = 0
    return False


def seats(priority: Priority, lines: Sequence[Line]) -> list[tuple[str, Line]]:
    """Tenants in the order of their turns, each with the line that it sits at."""
    found = sorted((place, n, tenant) for n, line in enumerate(lines) for place, tenant in line.seats(priority))
    return [(tenant, lines[n]) for _, n, tenant in found]


def has_turn(row: TaskRow, lines: Sequence[Line]) -> bool:
    """Whether it is the turn of the row's tenant."""
    return any(tenant == row.tenant for tenant, _ in seats(row.priority, lines)[:1])


def next_tenant(priority: Priority, lines: Sequence[Line]) -> str:
    """Deficit round-robin: the first who can pay for one task; who cannot, or no longer can, goes to the end."""
    while True:
        tenant, first = seats(priority, lines)[0]
        if first.first(priority, tenant) is None:
            first.leave(priority, tenant)
            continue
        account = first.accounts.of(priority, tenant)
        credit = account.credit
        if credit < 2 * TURN:
            place = first.accounts.last_place(priority, tenant)
            for line in lines:
                line.move(priority, tenant, place)
        else:
            account.credit -= TURN
        if credit >= TURN:
            return tenant
        account.credit += TURN


def oldest(priority: Priority, tenant: str, lines: Sequence[Line]) -> list[tuple[TaskRow, Line]]:
    """The tenant's first task of each line."""
    found = [(line.first(priority, tenant), line) for line in lines]
    return [(row, line) for row, line in found if row is not None]
