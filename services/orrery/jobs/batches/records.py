"""Batches as every process sees them, and the states they may be in."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from orrery.worlds.plan import ArtifactRef, Frozen


class BatchState(StrEnum):
    """OpenAI's words."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return not BATCH_TRANSITIONS[self]


BATCH_TRANSITIONS: dict[BatchState, frozenset[BatchState]] = {
    BatchState.VALIDATING: frozenset({BatchState.IN_PROGRESS, BatchState.FAILED, BatchState.CANCELLING}),
    BatchState.IN_PROGRESS: frozenset({BatchState.FINALIZING, BatchState.CANCELLING}),
    BatchState.FINALIZING: frozenset({BatchState.COMPLETED, BatchState.EXPIRED, BatchState.FAILED}),
    BatchState.CANCELLING: frozenset({BatchState.CANCELLED}),
    BatchState.FAILED: frozenset(),
    BatchState.COMPLETED: frozenset(),
    BatchState.EXPIRED: frozenset(),
    BatchState.CANCELLED: frozenset(),
}


class Problem(Frozen):
    """Why the input as a whole cannot be worked on, or not to its end. Lines count from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Order(Frozen):
    """What a client asked for. Times are Unix seconds; `output_seconds` is how long the files of its results are kept.

    `key_id` is the API key that it was ordered under, `base_url` where its client finds the gateway.
    """

    id: str
    tenant: str
    endpoint: str
    input_file_id: str
    input: ArtifactRef
    completion_window: str
    created_at: float
    expires_at: float
    metadata: dict[str, str] | None = None
    output_seconds: float | None = None
    key_id: str | None = None
    base_url: str = "/"


class Facts(Frozen):
    """What becomes known as a batch moves on. `completed` and `failed` count lines."""

    total: int = 0
    completed: int = 0
    failed: int = 0
    errors: tuple[Problem, ...] = ()
    output_file_id: str | None = None
    error_file_id: str | None = None


class Batch(Frozen):
    """`moved_at` is when it came into each of its states, `begun` the number of lines that were looked at, from the first."""

    order: Order
    state: BatchState = BatchState.VALIDATING
    moved_at: dict[BatchState, float]
    facts: Facts = Facts()
    begun: int = 0

    @property
    def id(self) -> str:
        return self.order.id


class BatchPage(Frozen):
    batches: tuple[Batch, ...]
    has_more: bool


class Page(Frozen):
    """`count` lines of the input, checked and stored as an artifact; the first of them is line `first`."""

    first: int
    count: int
    content: ArtifactRef

    def has(self, line: int) -> bool:
        return self.first <= line < self.first + self.count


class OpenLine(Frozen):
    """A line that was begun and has no outcome. Of `jobs` jobs; 0 if it may not be submitted yet."""

    line: int
    jobs: int = 0


class Outcome(Frozen):
    """How a line ended: as its `jobs` say, or refused with `error` and an HTTP `status`, or not run (no status)."""

    line: int
    ok: bool = False
    jobs: int = 0
    status: int | None = None
    error: dict[str, Any] | None = None
