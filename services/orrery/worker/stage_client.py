"""The seam to the stages. `TritonStages` is the real one, `InProcessStages` runs plain functions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from orrery.worlds.contracts import StageContract
from orrery.worlds.errors import StageUnavailable

Values = Mapping[str, Any]
OnProgress = Callable[[Mapping[str, int]], Awaitable[None]]


@dataclass(frozen=True)
class StageResult:
    """`outputs` by name, arrays or scalars; arrays may live in shared memory and are valid only inside the `async with`."""

    outputs: Values
    stage_seconds: float


class StageClient(Protocol):
    async def ready(self, stage: str) -> bool:
        """Whether the stage would take a request now."""
        ...

    def run(self, contract: StageContract, values: Values, on_progress: OnProgress) -> AbstractAsyncContextManager[StageResult]:
        """One request. Raises the stage's own typed error, or `StageUnavailable`; cancelling it stops the stage."""
        ...


StageFunction = Callable[[Values, Any], Values]


class InProcessStages:
    """Stages as plain functions `run(values, call)`, each in a thread."""

    def __init__(self, functions: Mapping[str, StageFunction]) -> None:
        self._functions = functions

    async def ready(self, stage: str) -> bool:
        return stage in self._functions

    @asynccontextmanager
    async def run(self, contract: StageContract, values: Values, on_progress: OnProgress) -> AsyncIterator[StageResult]:
        if contract.name not in self._functions:
            raise StageUnavailable(f"no stage {contract.name} here")
        call = _ThreadCall(self._functions, asyncio.get_running_loop(), on_progress)
        started = time.perf_counter()
        work = asyncio.to_thread(self._functions[contract.name], values, call)
        try:
            outputs = await work
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        yield StageResult(outputs=outputs, stage_seconds=time.perf_counter() - started)


class _ThreadCall:
    """The stage's side of a call that runs in a thread of this process."""

    def __init__(
        self, functions: Mapping[str, StageFunction], loop: asyncio.AbstractEventLoop, on_progress: OnProgress
    ) -> None:
        self.cancelled = False
        self._functions = functions
        self._loop = loop
        self._on_progress = on_progress

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise StageUnavailable("cancelled")

    def report(self, **progress: int) -> None:
        async def pass_on() -> None:
            await self._on_progress(progress)

        asyncio.run_coroutine_threadsafe(pass_on(), self._loop).result()

    def infer(self, stage: str, values: Values) -> Values:
        return self._functions[stage](values, self)
