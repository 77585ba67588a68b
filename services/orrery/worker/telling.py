"""Steps, previews and checkpoints on their way to the store, beside the stage and never in its way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orrery.artifacts import ArtifactStore
from orrery.jobs.cancelling import end
from orrery.jobs.records import Preview
from orrery.jobs.store import TaskQueue
from orrery.worker.holding import Holding, TaskLost
from orrery.worker.stage_client import Values
from orrery.worker.tensors import SAFETENSORS
from orrery.worlds.contracts import CHECKPOINT, PREVIEW, PREVIEW_SIZE
from orrery.worlds.errors import PreviewTooLarge, StoreUnavailable
from orrery.worlds.tensors import Array

log = logging.getLogger("orrery.worker")

_PAUSE_SECONDS = 0.1


class Teller:
    """Takes a stage's progress (it is an `OnProgress`) and tells the newest of it, ten times a second at most."""

    def __init__(self, queue: TaskQueue, artifacts: ArtifactStore, holding: Holding) -> None:
        self._queue = queue
        self._artifacts = artifacts
        self._holding = holding
        self._news = asyncio.Event()
        self._step: tuple[int, int] | None = None
        self._checkpoint: tuple[int, Array] | None = None
        self._preview: Preview | None = None
        self._keeping, self._stepping = asyncio.Lock(), asyncio.Lock()

    async def __call__(self, progress: Values) -> None:
        self._step = progress["step"], progress["num_steps"]
        self._holding.pace.passed(*self._step)
        self._holding.watch.stepped(progress["step"])
        if CHECKPOINT.name in progress:
            self._checkpoint = progress["step"], progress[CHECKPOINT.name]
        if PREVIEW.name in progress:
            width, height = map(int, progress[PREVIEW_SIZE.name])
            image = progress[PREVIEW.name].tobytes()
            self._preview = Preview(step=progress["step"], width=width, height=height, image=image)
        self._news.set()

    async def keep_telling(self) -> None:
        """Until there is nobody to tell. A checkpoint that cannot be stored is no reason to stop the work."""
        while not self._holding.over:
            await self._news.wait()
            self._news.clear()
            try:
                await self.keep_checkpoint()
                await self._show()
                await self.tell_step()
            except TaskLost:
                return
            except Exception:
                log.exception("no checkpoint of %s of %s was kept", self._holding.claim.task.id, self._holding.claim.job_id)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def keep_checkpoint(self) -> None:
        """The newest that was handed out is in both stores when this returns. Raises `TaskLost`."""
        async with self._keeping:
            if self._checkpoint is None:
                return
            kept = step, data = self._checkpoint
            if self._holding.over:
                raise TaskLost
            started = time.perf_counter()
            ref = await self._artifacts.put(data.data, media_type=SAFETENSORS)
            await self._holding.say(lambda: self._queue.checkpoint(self._holding.claim, ref, step))
            self._holding.watch.kept(step, time.perf_counter() - started, ref.size)
            if self._checkpoint is kept:
                self._checkpoint = None

    async def _show(self) -> None:
        """Before its step is told, which says that it is there. One that is lost is no failure: another one comes."""
        shown, self._preview = self._preview, None
        if shown is None or self._holding.over:
            return
        try:
            self._holding.heard(await self._queue.show(self._holding.claim, shown))
        except (StoreUnavailable, PreviewTooLarge) as error:
            log.warning("no preview of %s after step %d: %s", self._holding.claim.job_id, shown.step, error)

    async def tell_step(self) -> None:
        """Of a step that the store is not there to hear of, the next one tells."""
        async with self._stepping:
            if self._step is None or self._holding.over:
                return
            told, self._step = self._step, None
            try:
                self._holding.heard(await self._queue.progress(self._holding.claim, *told))
            except StoreUnavailable as error:
                self._step = self._step or told
                log.warning("a step of %s could not be told: %s", self._holding.claim.job_id, error)


@asynccontextmanager
async def telling(queue: TaskQueue, artifacts: ArtifactStore, holding: Holding) -> AsyncIterator[Teller]:
    """A teller that tells meanwhile."""
    teller = Teller(queue, artifacts, holding)
    background = asyncio.create_task(teller.keep_telling())
    try:
        yield teller
    finally:
        await end(background)
