"""The in-memory twin of `RedisBatches`: for one process, for tests, gone with the process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from orrery.jobs.batches.records import (
    BATCH_TRANSITIONS,
    Batch,
    BatchPage,
    BatchState,
    Facts,
    OpenLine,
    Order,
    Outcome,
    Page,
)
from orrery.worlds.errors import BatchNotFound


@dataclass
class _Row:
    batch: Batch
    pages: dict[int, Page] = field(default_factory=dict)
    open: dict[int, OpenLine] = field(default_factory=dict)
    settled: dict[int, Outcome] = field(default_factory=dict)


class MemoryBatches:
    """`clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._due: dict[str, float] = {}

    async def create(self, order: Order) -> Batch:
        if order.id not in self._rows:
            self._rows[order.id] = _Row(Batch(order=order, moved_at={BatchState.VALIDATING: order.created_at}))
            self._due[order.id] = self._clock()
        return self._rows[order.id].batch

    async def get(self, batch_id: str, tenant: str) -> Batch:
        row = self._rows.get(batch_id)
        return checked(None if row is None else row.batch, batch_id, tenant)

    async def list(self, tenant: str, *, after: str | None, limit: int) -> BatchPage:
        found = [row.batch for row in reversed(self._rows.values()) if row.batch.order.tenant == tenant]
        if after is not None:
            found = found[found.index(await self.get(after, tenant)) + 1 :]
        return BatchPage(batches=tuple(found[:limit]), has_more=len(found) > limit)

    async def move(self, batch_id: str, state: BatchState, facts: Facts | None = None) -> bool:
        row = self._rows.get(batch_id)
        if row is None or state not in BATCH_TRANSITIONS[row.batch.state]:
            return False
        now = self._clock()
        moved_at = row.batch.moved_at | {state: now}
        row.batch = row.batch.model_copy(update={"state": state, "moved_at": moved_at, "facts": facts or row.batch.facts})
        self._due[batch_id] = now
        if state.ended:
            self._rows[batch_id] = _Row(row.batch)
            del self._due[batch_id]
        return True

    async def take(self, seconds: float) -> Batch | None:
        now = self._clock()
        due = sorted((at, batch_id) for batch_id, at in self._due.items() if at <= now)
        if not due:
            return None
        _, batch_id = due[0]
        self._due[batch_id] = now + seconds
        return self._rows[batch_id].batch

    async def put_off(self, batch: Batch, seconds: float) -> None:
        if batch.id in self._due and self._rows[batch.id].batch.state is batch.state:
            self._due[batch.id] = self._clock() + seconds

    async def keep(self, batch_id: str, page: Page, refused: Sequence[Outcome]) -> bool:
        row = self._rows[batch_id]
        validating = row.batch.state is BatchState.VALIDATING
        if validating:
            row.pages[page.first] = page
            row.settled |= {outcome.line: outcome for outcome in refused}
        return validating

    async def pages(self, batch_id: str) -> Sequence[Page]:
        row = self._rows[batch_id]
        return [row.pages[first] for first in sorted(row.pages)]

    async def begin(self, batch_id: str, *, most: int, most_open: int) -> Sequence[int]:
        row, opened = self._rows[batch_id], list[int]()
        if row.batch.state is not BatchState.IN_PROGRESS:
            return opened
        line, total = row.batch.begun, row.batch.facts.total
        while line < total and len(opened) < most and len(row.open) < most_open:
            line += 1
            if line not in row.settled:
                row.open[line] = OpenLine(line=line)
                opened.append(line)
        row.batch = row.batch.model_copy(update={"begun": line})
        return opened

    async def submitted(self, batch_id: str, line: OpenLine) -> bool:
        row = self._rows[batch_id]
        if line.line in row.open:
            row.open[line.line] = line
        return row.batch.state is BatchState.IN_PROGRESS

    async def open_lines(self, batch_id: str) -> Sequence[OpenLine]:
        return [line for _, line in sorted(self._rows[batch_id].open.items())]

    async def settle(self, batch_id: str, outcomes: Sequence[Outcome]) -> None:
        row = self._rows[batch_id]
        for outcome in outcomes:
            if row.open.pop(outcome.line, None) is not None:
                row.settled[outcome.line] = outcome
                row.batch = row.batch.model_copy(update={"facts": counted(row.batch.facts, outcome)})

    async def outcomes(self, batch_id: str, lines: Sequence[int]) -> dict[int, Outcome]:
        settled = self._rows[batch_id].settled
        return {line: settled[line] for line in lines if line in settled}

    async def forget_ended(self, seconds: float) -> int:
        latest = self._clock() - seconds
        batches = [row.batch for row in self._rows.values()]
        over = [b.id for b in batches if b.state.ended and b.moved_at[b.state] <= latest]
        for batch_id in over:
            del self._rows[batch_id]
        return len(over)

    async def live_artifacts(self) -> AsyncIterator[str]:
        for batch_id in list(self._due):
            row = self._rows[batch_id]
            for ref in (row.batch.order.input, *(page.content for page in row.pages.values())):
                yield ref.digest


def checked(batch: Batch | None, batch_id: str | None, tenant: str) -> Batch:
    """The batch, if it is the tenant's. Raises `BatchNotFound`."""
    if batch is None or batch.order.tenant != tenant:
        raise BatchNotFound(f"there is no batch {batch_id}")
    return batch


def counted(facts: Facts, outcome: Outcome) -> Facts:
    name = "completed" if outcome.ok else "failed"
    return facts.model_copy(update={name: getattr(facts, name) + 1})
