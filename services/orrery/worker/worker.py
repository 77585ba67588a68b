"""The worker: claims tasks for the stages that are ready, keeps their leases, and gives them up when told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from orrery.jobs.cancelling import end
from orrery.jobs.records import Claim, Standing
from orrery.jobs.store import Pools, TaskQueue
from orrery.worker.runner import Runner, TaskLost
from orrery.worlds.errors import OrreryError, StageFailed, StageUnavailable, StoreUnavailable

log = logging.getLogger("orrery.worker")


class Queue(TaskQueue, Pools, Protocol):
    """What a worker needs of the job store."""


@dataclass(frozen=True)
class WorkerSettings:
    """`pools` by the stage that serves them. Times in seconds; `lease` must be the store's."""

    name: str
    pools: Mapping[str, tuple[str, ...]]
    lease: float = 15.0
    claim_wait: float = 2.0
    not_ready_wait: float = 0.2
    announce_every: float = 3.0
    drain: float = 30.0


class Worker:
    """One claim at a time for each stage: a free stage takes the oldest task of any of its pools."""

    def __init__(self, settings: WorkerSettings, queue: Queue, runner: Runner) -> None:
        self._settings = settings
        self._queue = queue
        self._runner = runner
        self._draining = asyncio.Event()
        self._held: dict[str, tuple[Claim, asyncio.Event]] = {}

    async def run(self) -> None:
        """Until `drain` is called and what was claimed is done, or handed back when the drain's time is over."""
        watchers = [asyncio.create_task(self._announce()), asyncio.create_task(self._watch_signals())]
        loops = [asyncio.create_task(self._serve(stage)) for stage in self._settings.pools]
        drained = asyncio.create_task(self._drain_after_signal(loops))
        try:
            await asyncio.gather(*loops, drained)
        finally:
            await end(*watchers, *loops, drained)
            await self._queue.announce(self._settings.name, (), seconds=0)

    def drain(self) -> None:
        """Stops claiming."""
        self._draining.set()

    async def _serve(self, stage: str) -> None:
        pools = self._settings.pools[stage]
        while not self._draining.is_set():
            if not await self._runner.stages.ready(stage):
                await asyncio.sleep(self._settings.not_ready_wait)
                continue
            claim = await self._claim(pools)
            if claim is not None:
                await self._hold(claim)

    async def _claim(self, pools: tuple[str, ...]) -> Claim | None:
        """A claim that arrives while the worker drains goes back at once."""
        try:
            claim = await self._queue.claim(pools, self._settings.name, wait=self._settings.claim_wait)
        except StoreUnavailable as error:
            log.warning("the job store does not answer: %s", error)
            await asyncio.sleep(1.0)
            return None
        if claim is not None and self._draining.is_set():
            await self._queue.release(claim)
            return None
        return claim

    async def _hold(self, claim: Claim) -> None:
        """Runs a claimed task beside the renewal of its lease, until it is done or somebody says stop."""
        stop = asyncio.Event()
        self._held[claim.token] = claim, stop
        work = asyncio.create_task(self._work(claim))
        others = asyncio.create_task(self._renew(claim, stop)), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, others[1]}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not work.done():
                log.info("giving up %s of %s", claim.task.id, claim.job_id)
            del self._held[claim.token]
            await end(work, *others)

    async def _work(self, claim: Claim) -> None:
        """What was done before the job store went away is remembered as a memo, so claiming the task again costs little."""
        try:
            await self._finish(claim)
        except StoreUnavailable as error:
            log.warning("%s of %s is left to its lease: %s", claim.task.id, claim.job_id, error)

    async def _finish(self, claim: Claim) -> None:
        try:
            completion = await self._runner.run(claim)
        except TaskLost as lost:
            log.info("%s of %s is %s", claim.task.id, claim.job_id, lost.standing)
        except StoreUnavailable:
            raise
        except OrreryError as error:
            log.warning("%s of %s failed: %s", claim.task.id, claim.job_id, error.message)
            await self._queue.fail(claim, error.to_dict(), retry=isinstance(error, StageUnavailable))
        except Exception as error:
            log.exception("%s of %s failed", claim.task.id, claim.job_id)
            await self._queue.fail(claim, StageFailed(str(error)).to_dict(), retry=True)
        else:
            await self._queue.complete(claim, completion)

    async def _renew(self, claim: Claim, stop: asyncio.Event) -> None:
        """One failed renewal is not the end: the lease outlives two of them."""
        while True:
            await asyncio.sleep(self._settings.lease / 3)
            try:
                standing = await self._queue.renew(claim)
            except StoreUnavailable as error:
                log.warning("could not renew %s: %s", claim.task.id, error)
                continue
            if standing is not Standing.OWNED:
                stop.set()

    async def _watch_signals(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable):
                async for signal in self._queue.signals():
                    if signal.kind == "cancel":
                        self._give_up(signal.job_id)
            await asyncio.sleep(1.0)

    def _give_up(self, job_id: str) -> None:
        for claim, stop in self._held.values():
            if claim.job_id == job_id:
                stop.set()

    async def _announce(self) -> None:
        """Tells which pools are served, by stages that are ready now."""
        every = self._settings.announce_every
        while True:
            ready = [
                pool
                for stage, pools in self._settings.pools.items()
                for pool in pools
                if await self._runner.stages.ready(stage)
            ]
            with contextlib.suppress(StoreUnavailable):
                await self._queue.announce(self._settings.name, ready, seconds=3 * every)
            # Until everything is up, look often: somebody is waiting for it.
            complete = len(ready) == sum(map(len, self._settings.pools.values()))
            await asyncio.sleep(every if complete else self._settings.not_ready_wait)

    async def _drain_after_signal(self, loops: list[asyncio.Task[None]]) -> None:
        await self._draining.wait()
        await asyncio.wait(loops, timeout=self._settings.drain)
        for claim, stop in list(self._held.values()):
            await self._queue.release(claim)
            stop.set()
