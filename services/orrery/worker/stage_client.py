"""The seam to the stages. `TritonStages` is the real one, `InProcessStages` runs plain functions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from orrery.worlds.contracts import PASSING, YIELDED, StageContract
from orrery.worlds.control import GO_ON, YIELD
from orrery.worlds.errors import StageUnavailable

Values = Mapping[str, Any]
OnProgress = Callable[[Values], Awaitable[None]]
"""Called with each set of the contract's `progress` as it comes; what it raises stops the stage."""


class Cell(Protocol):
    """One byte, wherever it lies."""

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class Control:
    """What a caller wants of a stage, before and while it runs. A stage that is not resumable does not look at it."""

    def __init__(self) -> None:
        self._cell: Cell = bytearray([GO_ON])

    @property
    def yielding(self) -> bool:
        return self._cell[0] == YIELD

    def ask_to_yield(self) -> None:
        """A checkpoint after this step, and no more."""
        self._cell[0] = YIELD

    @contextmanager
    def through(self, cell: Cell) -> Iterator[None]:
        """Meanwhile the wish stands in `cell`, where the stage can read it."""
        own, cell[0] = self._cell, self._cell[0]
        self._cell = cell
        try:
            yield
        finally:
            own[0], self._cell = cell[0], own


@dataclass(frozen=True)
class StageResult:
    """`outputs` by name, arrays or scalars; arrays may live in shared memory and are valid only inside the `async with`.

    If the stage has `yielded` there are none: its last checkpoint came as progress. `passing` ones are not to be remembered.
    """

    outputs: Values
    stage_seconds: float
    yielded: bool = False
    passing: bool = False


class StageClient(Protocol):
    async def ready(self, stage: str) -> bool:
        """Whether the stage would take a request now."""
        ...

    def run(
        self, contract: StageContract, values: Values, on_progress: OnProgress, control: Control | None = None
    ) -> AbstractAsyncContextManager[StageResult]:
        """One request. Raises the stage's own typed error, or `StageUnavailable`; cancelling it stops the stage."""
        ...


StageFunction = Callable[[Values, Any], Values]


class InProcessStages:
    """Stages as plain functions `run(values, call)`, each in a thread, and each one call at a time, as Triton has them."""

    def __init__(self, functions: Mapping[str, StageFunction]) -> None:
        self._functions = functions
        self._turns = {stage: Lock() for stage in functions}

    async def ready(self, stage: str) -> bool:
        return stage in self._functions

    @asynccontextmanager
    async def run(
        self, contract: StageContract, values: Values, on_progress: OnProgress, control: Control | None = None
    ) -> AsyncIterator[StageResult]:
        if contract.name not in self._functions:
            raise StageUnavailable(f"no stage {contract.name} here")
        call = _ThreadCall(self._functions, asyncio.get_running_loop(), on_progress, control or Control())
        started = time.perf_counter()
        try:
            outputs = dict(await asyncio.to_thread(self._alone, contract.name, values, call))
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        yielded, passing = (bool(outputs.pop(note.name, False)) for note in (YIELDED, PASSING))
        seconds = time.perf_counter() - started
        yield StageResult(outputs=outputs, stage_seconds=seconds, yielded=yielded, passing=passing)

    def _alone(self, stage: str, values: Values, call: _ThreadCall) -> Values:
        """A call that was given up may still run to the end of its step."""
        with self._turns[stage]:
            return self._functions[stage](values, call)


class _ThreadCall:
    """The stage's side of a call that runs in a thread of this process."""

    def __init__(
        self,
        functions: Mapping[str, StageFunction],
        loop: asyncio.AbstractEventLoop,
        on_progress: OnProgress,
        control: Control,
    ) -> None:
        self.cancelled = False
        self._functions = functions
        self._loop = loop
        self._on_progress = on_progress
        self._control = control

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise StageUnavailable("cancelled")

    def wants_yield(self) -> bool:
        return self._control.yielding

    def report(self, **progress: Any) -> None:
        async def pass_on() -> None:
            await self._on_progress(progress)

        asyncio.run_coroutine_threadsafe(pass_on(), self._loop).result()

    def infer(self, stage: str, values: Values) -> Values:
        return self._functions[stage](values, self)
