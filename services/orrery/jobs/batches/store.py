"""The seam to what is known of batches. `RedisBatches` and `MemoryBatches` implement it and pass the same tests.

Whoever feeds batches takes one, does a step and puts it off. A step may be done twice, by two at once too: whatever it writes
is written once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from orrery.jobs.batches.records import Batch, BatchPage, BatchState, Facts, OpenLine, Order, Outcome, Page


class Batches(Protocol):
    async def create(self, order: Order) -> Batch:
        """Enters a batch, due at once; under an id that is known, gives the batch that is there."""
        ...

    async def get(self, batch_id: str, tenant: str) -> Batch:
        """Raises `BatchNotFound`, for another tenant's too."""
        ...

    async def list(self, tenant: str, *, after: str | None, limit: int) -> BatchPage:
        """The tenant's batches, the latest first; `after` is a batch's id. Raises `BatchNotFound`."""
        ...

    async def move(self, batch_id: str, state: BatchState, facts: Facts | None = None) -> bool:
        """Brings the batch into `state`, with facts that replace the old ones; it is due at once.

        The only way to another state. False, and nothing is written, if the batch may not go there: somebody was quicker.
        A batch that ends is due no more, and its pages, open lines and outcomes are forgotten.
        """
        ...

    async def take(self, seconds: float) -> Batch | None:
        """The batch that is due the longest; nobody else is given it for `seconds`. None if none is due."""
        ...

    async def put_off(self, batch: Batch, seconds: float) -> None:
        """Due again in so many seconds, unless it has moved to another state since `batch` was read."""
        ...

    async def keep(self, batch_id: str, page: Page, refused: Sequence[Outcome]) -> bool:
        """Enters a page of the input, and the outcomes of those of its lines that can never be submitted.

        False, and nothing is entered, if the batch is not being validated any more.
        """
        ...

    async def pages(self, batch_id: str) -> Sequence[Page]:
        """In order."""
        ...

    async def begin(self, batch_id: str, *, most: int, most_open: int) -> Sequence[int]:
        """Opens the next lines that have no outcome: at most `most`, and no more than `most_open` may be open then.

        None if the batch is not in progress.
        """
        ...

    async def submitted(self, batch_id: str, line: OpenLine) -> bool:
        """Notes that an open line's jobs are there; whether the batch is still in progress."""
        ...

    async def open_lines(self, batch_id: str) -> Sequence[OpenLine]: ...

    async def settle(self, batch_id: str, outcomes: Sequence[Outcome]) -> None:
        """Closes open lines and counts them; of a line that is not open nothing is noted."""
        ...

    async def outcomes(self, batch_id: str, lines: Sequence[int]) -> dict[int, Outcome]:
        """Of those lines that have one."""
        ...

    async def forget_ended(self, seconds: float) -> int:
        """Forgets batches that ended so many seconds ago; how many there were."""
        ...

    def live_artifacts(self) -> AsyncIterator[str]:
        """Digests of the inputs and pages of batches that have not ended."""
        ...
