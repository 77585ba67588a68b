"""Batches beside the jobs on their server: each step is one Lua script, in the slot of the jobs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter
from redis.asyncio import Redis

from orrery.jobs.batches.memory import checked
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
    Problem,
)
from orrery.jobs.keys import ROOT
from orrery.jobs.outage import reply_of
from orrery.jobs.scripts import moves
from orrery.jobs.server import BesideJobs
from orrery.jobs.wire import pairs

Problems = TypeAdapter(tuple[Problem, ...])


class RedisBatches(BesideJobs):
    """`client` must decode responses. `clock` gives Unix seconds; gateways whose clocks differ do steps twice."""

    def __init__(self, client: Redis, clock: Callable[[], float] = time.time) -> None:
        super().__init__(client)
        self._clock = clock
        self._preface = f"local MOVES = {moves(BATCH_TRANSITIONS)}\n" + _source("prelude")
        self._known: dict[str, Any] = {}

    async def _run(self, name: str, *args: str | int | float) -> Any:
        if name not in self._known:
            self._known[name] = self._client.register_script(self._preface + _source(name))
        return await reply_of(self._known[name](keys=[ROOT], args=[self._clock(), *args]))

    async def create(self, order: Order) -> Batch:
        args = (order.id, order.tenant, order.model_dump_json(), BatchState.VALIDATING, order.created_at)
        return _batch(await self._run("create", *args))

    async def get(self, batch_id: str, tenant: str) -> Batch:
        row: dict[str, str] = await reply_of(self._client.hgetall(_row(batch_id)))
        return checked(_of_row(row) if row else None, batch_id, tenant)

    async def list(self, tenant: str, *, after: str | None, limit: int) -> BatchPage:
        if after is not None:
            await self.get(after, tenant)
        found = [_batch(flat) for flat in await self._run("page", tenant, after or "", limit)]
        return BatchPage(batches=tuple(found[:limit]), has_more=len(found) > limit)

    async def move(self, batch_id: str, state: BatchState, facts: Facts | None = None) -> bool:
        return bool(await self._run("move", batch_id, state, *_fields(facts)))

    async def take(self, seconds: float) -> Batch | None:
        flat = await self._run("take", seconds)
        return None if flat is None else _batch(flat)

    async def put_off(self, batch: Batch, seconds: float) -> None:
        await self._run("put_off", batch.id, batch.state, seconds)

    async def keep(self, batch_id: str, page: Page, refused: Sequence[Outcome]) -> bool:
        entries = [word for outcome in refused for word in (outcome.line, outcome.model_dump_json())]
        args = (BatchState.VALIDATING, page.first, page.model_dump_json(), *entries)
        return bool(await self._run("keep", batch_id, *args))

    async def pages(self, batch_id: str) -> Sequence[Page]:
        texts = await reply_of(self._client.hvals(f"{_row(batch_id)}:pages"))
        return sorted(map(Page.model_validate_json, texts), key=lambda page: page.first)

    async def begin(self, batch_id: str, *, most: int, most_open: int) -> Sequence[int]:
        return [int(line) for line in await self._run("begin", batch_id, most, most_open, BatchState.IN_PROGRESS)]

    async def submitted(self, batch_id: str, line: OpenLine) -> bool:
        return bool(await self._run("submitted", batch_id, line.line, line.jobs) == BatchState.IN_PROGRESS)

    async def open_lines(self, batch_id: str) -> Sequence[OpenLine]:
        found: dict[str, str] = await reply_of(self._client.hgetall(f"{_row(batch_id)}:open"))
        return sorted((OpenLine(line=int(line), jobs=int(jobs)) for line, jobs in found.items()), key=lambda line: line.line)

    async def settle(self, batch_id: str, outcomes: Sequence[Outcome]) -> None:
        args = [word for o in outcomes for word in (o.line, "completed" if o.ok else "failed", o.model_dump_json())]
        await self._run("settle", batch_id, *args)

    async def outcomes(self, batch_id: str, lines: Sequence[int]) -> dict[int, Outcome]:
        if not lines:
            return {}
        texts = await reply_of(self._client.hmget(f"{_row(batch_id)}:settled", [str(line) for line in lines]))
        return {line: Outcome.model_validate_json(text) for line, text in zip(lines, texts, strict=True) if text is not None}

    async def forget_ended(self, seconds: float) -> int:
        count = 0
        while forgotten := int(await self._run("forget", self._clock() - seconds)):
            count += forgotten
        return count

    async def live_artifacts(self) -> AsyncIterator[str]:
        for order, pages in await self._run("live"):
            yield Order.model_validate_json(order).input.digest
            for page in pages:
                yield Page.model_validate_json(page).content.digest


def _source(name: str) -> str:
    return files("orrery.jobs.batches").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def _row(batch_id: str) -> str:
    return f"{ROOT}:batch:{batch_id}"


def _batch(flat: Sequence[str]) -> Batch:
    return _of_row(pairs(flat))


def _of_row(row: dict[str, str]) -> Batch:
    facts = {name: row[name] for name in Facts.model_fields if name in row and name != "errors"}
    moved_at = {name.removeprefix("at:"): at for name, at in row.items() if name.startswith("at:")}
    return Batch.model_validate(
        {
            "order": Order.model_validate_json(row["order"]),
            "state": row["state"],
            "moved_at": moved_at,
            "begun": row.get("begun", 0),
            "facts": facts | {"errors": Problems.validate_json(row.get("errors", "[]"))},
        }
    )


def _fields(facts: Facts | None) -> list[str]:
    """Names and values for the record."""
    if facts is None:
        return []
    known = facts.model_dump(exclude={"errors"}, exclude_none=True) | {"errors": Problems.dump_json(facts.errors).decode()}
    return [str(word) for pair in known.items() for word in pair]
