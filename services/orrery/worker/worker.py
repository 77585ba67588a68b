"""The worker: claims tasks for the stages that are ready, keeps their leases, and gives them up when told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from orrery.jobs.cancelling import end
from orrery.jobs.records import Claim
from orrery.jobs.store import Pools, TaskQueue
from orrery.telemetry.process import Telemetry
from orrery.worker.draining import wind_down
from orrery.worker.holding import Holding, TaskLost
from orrery.worker.observing import Observer, Outcome
from orrery.worker.runner import Runner, TaskYielded
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

    def __init__(self, settings: WorkerSettings, queue: Queue, runner: Runner, observer: Observer | None = None) -> None:
        self._settings = settings
        self._queue = queue
        self._runner = runner
        self._observer = observer or Observer(Telemetry())
        for pools in settings.pools.values():
            self._observer.expect(pools)
        self._draining = asyncio.Event()
        self._held: dict[str, Holding] = {}

    async def run(self) -> None:
        """Until `drain` is called and what was claimed is done, or handed back when the drain's time is over."""
        watchers = [asyncio.create_task(self._announce()), asyncio.create_task(self._watch_signals())]
        loops = [asyncio.create_task(self._serve(stage)) for stage in self._settings.pools]
        serving = asyncio.create_task(self._until_served(loops))
        try:
            # A watcher never ends but by an error, which is everybody's.
            ended, _ = await asyncio.wait({serving, *watchers}, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            await end(*watchers, *loops, serving)
            with contextlib.suppress(StoreUnavailable):
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
            await self._hand_back(claim)
            return None
        return claim

    async def _hold(self, claim: Claim) -> None:
        """Runs a claimed task beside the renewal of its lease, until it is done or the holding is over."""
        with self._observer.task(claim) as watch:
            await self._work_on(Holding(claim, self._settings.lease, watch))

    async def _work_on(self, holding: Holding) -> None:
        claim = holding.claim
        self._held[claim.token] = holding
        work = asyncio.create_task(self._work(holding))
        others = asyncio.create_task(self._renew(holding)), asyncio.create_task(holding.until_over())
        try:
            await asyncio.wait({work, others[1]}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not work.done():
                log.info("giving up %s of %s", claim.task.id, claim.job_id)
            del self._held[claim.token]
            await end(work, *others)

    async def _work(self, holding: Holding) -> None:
        """What was done before a holding was over is remembered as a memo or a checkpoint: claiming it again costs little."""
        try:
            await self._finish(holding)
        except TaskLost:
            log.warning("%s of %s is left to its next owner", holding.claim.task.id, holding.claim.job_id)

    async def _finish(self, holding: Holding) -> None:
        claim = holding.claim
        try:
            completion = await self._runner.run(holding)
            await holding.say(lambda: self._queue.complete(claim, completion))
            holding.watch.outcome = Outcome.DROPPED if holding.over else Outcome.DONE
        except TaskYielded:
            log.info("%s of %s goes back with its checkpoint", claim.task.id, claim.job_id)
            await holding.say(lambda: self._queue.release(claim))
            holding.watch.outcome = Outcome.YIELDED
        except TaskLost:
            raise
        except OrreryError as error:
            log.warning("%s of %s failed: %s", claim.task.id, claim.job_id, error.message)
            await self._fail(holding, error, retry=isinstance(error, StageUnavailable))
        except Exception as error:
            log.exception("%s of %s failed", claim.task.id, claim.job_id)
            await self._fail(holding, StageFailed(str(error)), retry=True)

    async def _fail(self, holding: Holding, error: OrreryError, *, retry: bool) -> None:
        holding.watch.failed(error.code, Outcome.RETRIED if retry else Outcome.FAILED)
        await holding.say(lambda: self._queue.fail(holding.claim, error.to_dict(), retry=retry))

    async def _renew(self, holding: Holding) -> None:
        """A renewal that fails is tried again soon: the lease goes on running. One that is overdue is not asked for."""
        pause = self._settings.lease / 3
        while True:
            await asyncio.sleep(pause)
            if holding.over:
                return
            try:
                holding.renewed(await self._queue.renew(holding.claim))
                pause = self._settings.lease / 3
            except StoreUnavailable as error:
                log.warning("could not renew %s: %s", holding.claim.task.id, error)
                pause = self._settings.lease / 15

    async def _watch_signals(self) -> None:
        """A signal that is missed costs little: every answer of the store says the same."""
        while True:
            with contextlib.suppress(StoreUnavailable):
                async for signal in self._queue.signals():
                    for holding in self._held.values():
                        if holding.is_meant_by(signal):
                            HEED[signal.kind](holding)
            await asyncio.sleep(1.0)

    async def _announce(self) -> None:
        """Tells which pools are served, by stages that are ready now."""
        every = self._settings.announce_every
        while True:
            ready = [pool for stage in self._settings.pools if await self._ready(stage) for pool in self._settings.pools[stage]]
            with contextlib.suppress(StoreUnavailable):
                await self._queue.announce(self._settings.name, ready, seconds=3 * every)
            # Until everything is up, look often: somebody is waiting for it.
            complete = len(ready) == sum(map(len, self._settings.pools.values()))
            await asyncio.sleep(every if complete else self._settings.not_ready_wait)

    async def _ready(self, stage: str) -> bool:
        ready = await self._runner.stages.ready(stage)
        self._observer.metrics.ready.labels(stage).set(ready)
        return ready

    async def _until_served(self, loops: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*loops, self._drain_after_signal(loops))

    async def _drain_after_signal(self, loops: list[asyncio.Task[None]]) -> None:
        await self._draining.wait()
        await wind_down(self._held, loops, self._settings.drain)
        for holding in list(self._held.values()):
            await self._hand_back(holding.claim)
            holding.let_go()

    async def _hand_back(self, claim: Claim) -> None:
        try:
            await self._queue.release(claim)
        except StoreUnavailable as error:
            log.warning("%s of %s is left to its lease: %s", claim.task.id, claim.job_id, error)


HEED: dict[str, Callable[[Holding], None]] = {
    "cancel": Holding.let_go,
    "preempt": lambda holding: holding.control.ask_to_yield(),
}
"""What a worker does about a signal."""
