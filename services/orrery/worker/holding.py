"""One claimed task in a worker's hands: what was heard about it, how fast it goes, and when it must be dropped."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from orrery.jobs.records import Claim, Signal, Standing
from orrery.worker.observing import Watch
from orrery.worker.stage_client import Control
from orrery.worlds.errors import StoreUnavailable

log = logging.getLogger("orrery.worker")

_RETRY_SECONDS = 0.2


class TaskLost(Exception):
    """The task is not this worker's to finish any more."""


@dataclass
class Pace:
    """Seconds per step, from the steps that were seen."""

    first: tuple[int, float] | None = None
    last: tuple[int, float] = (0, 0.0)
    num_steps: int = 0

    def passed(self, step: int, num_steps: int) -> None:
        now = time.monotonic()
        self.first = self.first or (step, now)
        self.last, self.num_steps = (step, now), num_steps

    def remaining(self) -> float:
        """Seconds until a step after the last one, to be on the safe side; infinite while no speed is known."""
        if self.first is None or self.last[0] <= self.first[0]:
            return math.inf
        per_step = (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])
        return max(0.0, self.last[1] + (self.num_steps - self.last[0] + 1) * per_step - time.monotonic())


class Holding:
    """Is over when it is let go, or when its lease must have run out by this machine's own clock."""

    def __init__(self, claim: Claim, lease: float, watch: Watch) -> None:
        self.claim = claim
        self.watch = watch
        self.control = Control()
        self.pace = Pace()
        self._lease = lease
        self._until = time.monotonic() + lease
        self._let_go = asyncio.Event()

    @property
    def over(self) -> bool:
        return self._let_go.is_set() or time.monotonic() >= self._until

    def let_go(self) -> None:
        self._let_go.set()

    async def until_over(self) -> None:
        while not self.over:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until - time.monotonic()):
                    await self._let_go.wait()

    def heard(self, standing: Standing) -> None:
        """The store's answer to any write."""
        if standing is Standing.PREEMPTED:
            self.control.ask_to_yield()
        elif standing is not Standing.OWNED:
            log.info("%s of %s is %s", self.claim.task.id, self.claim.job_id, standing)
            self.let_go()

    def renewed(self, standing: Standing) -> None:
        """The store's answer to a renewal. One that came too late revives nothing: the work has been dropped."""
        self._until = time.monotonic() + self._lease if not self.over else self._until
        self.heard(standing)

    def is_meant_by(self, signal: Signal) -> bool:
        return signal.job_id == self.claim.job_id and signal.task_id in (None, self.claim.task.id)

    async def say(self, write: Callable[[], Awaitable[Standing]]) -> Standing:
        """Until the store has answered. Raises `TaskLost`, in place of writing, when the holding is over."""
        while not self.over:
            try:
                standing = await write()
            except StoreUnavailable as error:
                log.warning("%s of %s could not be told: %s", self.claim.task.id, self.claim.job_id, error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self.heard(standing)
                return standing
        raise TaskLost(f"{self.claim.task.id} of {self.claim.job_id}")
