"""Feeds batches to the job store as there is room, and writes their results; one such task runs in every gateway.

A batch is lent to one feeder at a time, for a step. When the feeder dies, another is lent the batch and takes the same step:
whatever a step does twice has no further effect. So no gateway leads, and none is missed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from orrery.gateway.batching.endpoints import ENDPOINTS, Child
from orrery.gateway.batching.lines import Entry
from orrery.gateway.batching.results import CANCELLED, EXPIRED, FAILED, PageLost, entries_of, outcome_of
from orrery.gateway.batching.validation import validate
from orrery.gateway.batching.writing import write_results
from orrery.gateway.context import Gateway
from orrery.gateway.edge.callers import on_behalf_of
from orrery.gateway.edge.errors import TooManyRequests
from orrery.gateway.edge.keys import Key, KeyRing
from orrery.gateway.waiting import end
from orrery.jobs.batches.records import Batch, BatchState, OpenLine, Outcome, Page, Problem
from orrery.worlds.errors import JobNotFound, OrreryError, QueueFull, StageUnavailable, StoreUnavailable

log = logging.getLogger(__name__)

LENT_SECONDS = 15.0
"""After so long a batch whose feeder died is lent to another."""

STEP_SECONDS = 5.0
BEGUN_AT_ONCE = 16
LONGEST_PAUSE = 30.0
CANCELLED_AT_ONCE = 16


class Feeder:
    """Works on whatever batch is due. `wake` makes it look at once."""

    def __init__(self, gateway: Gateway, ring: KeyRing | None) -> None:
        self._gateway = gateway
        self._ring = ring
        self._batches = gateway.batches
        self._woken = asyncio.Event()
        self._page: tuple[str, Page, list[Entry]] | None = None
        self._steps: dict[BatchState, Callable[[Batch], Awaitable[float]]] = {
            BatchState.VALIDATING: self._validate,
            BatchState.IN_PROGRESS: self._feed,
            BatchState.CANCELLING: self._call_off,
            BatchState.FINALIZING: self._finish,
        }

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """For ever; a store that does not answer is asked again."""
        while True:
            try:
                worked = await self.step()
            except (StoreUnavailable, StageUnavailable) as error:
                log.warning("%s", error.message)
                worked = False
            except Exception:
                # The batch is lent until it is due again: then it is tried again, here or elsewhere.
                log.exception("a step of a batch failed")
                worked = False
            if not worked:
                await self._rest()

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._gateway.settings.batch_pause_seconds):
                await self._woken.wait()
        self._woken.clear()

    async def step(self) -> bool:
        """Does what there is to do now for the batch that is due the longest; False if none is."""
        batch = await self._batches.take(LENT_SECONDS)
        if batch is None:
            return False
        async with self._kept(batch):
            pause = await self._steps[batch.state](batch)
        await self._batches.put_off(batch, pause)
        return True

    @asynccontextmanager
    async def _kept(self, batch: Batch) -> AsyncIterator[None]:
        """Nobody else is lent the batch meanwhile, however long it takes."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(LENT_SECONDS / 3)
                with suppress(StoreUnavailable):
                    await self._batches.put_off(batch, LENT_SECONDS)

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            await end(keeping)

    async def _validate(self, batch: Batch) -> float:
        await validate(self._gateway, batch)
        return 0.0

    async def _feed(self, batch: Batch) -> float:
        if time.time() >= batch.order.expires_at:
            return await self._expire(batch)
        await self._settle(batch)
        try:
            pause = await self._submit(batch)
        except PageLost as lost:
            return await self._give_up(batch, lost.problem)
        # What was begun is read after what is open: whoever begins a line opens it in the same transaction.
        opened = await self._batches.open_lines(batch.id)
        now = await self._batches.get(batch.id, batch.order.tenant)
        if not opened and now.begun == now.facts.total:
            await self._batches.move(batch.id, BatchState.FINALIZING)
        return pause

    async def _give_up(self, batch: Batch, problem: Problem) -> float:
        """Nothing more is begun; what is open is stopped, and what is there is written, in the states that follow."""
        log.error("%s fails: %s", batch.id, problem.message)
        now = await self._batches.get(batch.id, batch.order.tenant)
        await self._batches.move(batch.id, BatchState.FINALIZING, now.facts.model_copy(update={"errors": (problem,)}))
        return 0.0

    async def _settle(self, batch: Batch) -> None:
        """Closes the lines whose jobs have ended."""
        lines = [line for line in await self._batches.open_lines(batch.id) if line.jobs]
        await self._batches.settle(batch.id, await self._outcomes(batch, lines))

    async def _outcomes(self, batch: Batch, lines: Sequence[OpenLine]) -> list[Outcome]:
        """Of those of the lines whose jobs have ended."""
        ids = {line.line: Child(batch.order, line.line).job_ids(line.jobs) for line in lines}
        states = await self._gateway.jobs.states([job_id for of_line in ids.values() for job_id in of_line])
        found = [outcome_of(line, [states.get(job_id) for job_id in of_line]) for line, of_line in ids.items()]
        return [outcome for outcome in found if outcome is not None]

    async def _submit(self, batch: Batch) -> float:
        """Submits what was begun before and what there is room for; when to look again."""
        until = time.monotonic() + STEP_SECONDS
        settings = self._gateway.settings
        lines: Sequence[int] = [line.line for line in await self._batches.open_lines(batch.id) if not line.jobs]
        while time.monotonic() < until:
            lines = lines or await self._batches.begin(batch.id, most=BEGUN_AT_ONCE, most_open=settings.batch_open_lines)
            if not lines:
                return settings.batch_pause_seconds
            try:
                for line in lines:
                    await self._submit_line(batch, line)
            except (QueueFull, TooManyRequests) as full:
                return min(full.retry_after, LONGEST_PAUSE)
            lines = ()
        return 0.0

    async def _submit_line(self, batch: Batch, line: int) -> None:
        entry = await self._entry(batch, line)
        child, body = Child(batch.order, line, entry.custom_id), entry.body
        try:
            with on_behalf_of(self._key(batch)):
                jobs = await ENDPOINTS[batch.order.endpoint].submit(self._gateway, child, body or {})
        except (QueueFull, TooManyRequests, StoreUnavailable, StageUnavailable):
            raise
        except OrreryError as error:
            await self._refuse(batch, line, error)
        except Exception:
            log.exception("line %d of %s failed", line, batch.id)
            await self._refuse(batch, line, OrreryError("the gateway failed; its log says why"))
        else:
            going_on = await self._batches.submitted(batch.id, OpenLine(line=line, jobs=jobs))
            if not going_on:
                await self._cancel(child.job_ids(jobs))

    def _key(self, batch: Batch) -> Key | None:
        """Whose quota its jobs are counted in. Raises `Forbidden` if the key is no more."""
        key_id = batch.order.key_id
        return None if self._ring is None or key_id is None else self._ring.of_id(key_id)

    async def _refuse(self, batch: Batch, line: int, error: OrreryError) -> None:
        outcome = Outcome(line=line, status=error.http_status, error=error.to_dict())
        await self._batches.settle(batch.id, [outcome])

    async def _entry(self, batch: Batch, line: int) -> Entry:
        if self._page is None or self._page[0] != batch.id or not self._page[1].has(line):
            page = next(page for page in await self._batches.pages(batch.id) if page.has(line))
            self._page = batch.id, page, await entries_of(self._gateway, page)
        _, page, entries = self._page
        return entries[line - page.first]

    async def _call_off(self, batch: Batch) -> float:
        if await self._stop(batch, since=batch.moved_at[BatchState.CANCELLING]):
            written = await write_results(self._gateway, batch, CANCELLED)
            await self._batches.move(batch.id, BatchState.CANCELLED, written.facts)
        return self._gateway.settings.batch_pause_seconds

    async def _expire(self, batch: Batch) -> float:
        if await self._stop(batch, since=batch.order.expires_at):
            await self._batches.move(batch.id, BatchState.FINALIZING)
        return self._gateway.settings.batch_pause_seconds

    async def _finish(self, batch: Batch) -> float:
        given_up = bool(batch.facts.errors)
        if given_up and not await self._stop(batch, since=batch.moved_at[BatchState.FINALIZING]):
            return self._gateway.settings.batch_pause_seconds
        written = await write_results(self._gateway, batch, FAILED if given_up else EXPIRED)
        await self._batches.move(batch.id, written.end_state, written.facts)
        return 0.0

    async def _stop(self, batch: Batch, *, since: float) -> bool:
        """Cancels what is open; whether all of it is settled.

        Whoever submits a line at this very moment will find the batch stopped and cancel its jobs; lines that nobody submitted
        are waited for until that must have happened.
        """
        await self._settle(batch)
        opened = await self._batches.open_lines(batch.id)
        most = ENDPOINTS[batch.order.endpoint].most_jobs(self._gateway)
        children = [(Child(batch.order, line.line), line.jobs or most) for line in opened]
        await self._cancel([job_id for child, jobs in children for job_id in child.job_ids(jobs)])
        done = {outcome.line: outcome for outcome in await self._outcomes(batch, opened) if outcome.ok}
        over = time.time() >= since + LENT_SECONDS
        settled = [done.get(line.line, Outcome(line=line.line)) for line in opened if line.jobs or over]
        await self._batches.settle(batch.id, settled)
        return len(settled) == len(opened)

    async def _cancel(self, job_ids: Sequence[str]) -> None:
        for first in range(0, len(job_ids), CANCELLED_AT_ONCE):
            await asyncio.gather(*map(self._cancel_job, job_ids[first : first + CANCELLED_AT_ONCE]))

    async def _cancel_job(self, job_id: str) -> None:
        with suppress(JobNotFound):
            await self._gateway.jobs.cancel(job_id)
