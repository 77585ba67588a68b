"""The files of a batch's results."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from orrery.gateway.batching.results import Line, PageLost, Unrun, result_lines
from orrery.gateway.batching.validation import MEDIA_TYPE
from orrery.gateway.context import Gateway
from orrery.gateway.shelf import BATCH_OUTPUT, FILE_ID_PREFIX, LONGEST, enter
from orrery.jobs.batches.records import Batch, BatchState, Facts


@dataclass(frozen=True)
class Written:
    """The batch's last facts, and whether every line was run."""

    facts: Facts
    all_run: bool

    @property
    def end_state(self) -> BatchState:
        """Of a batch that nobody cancelled."""
        if self.facts.errors:
            return BatchState.FAILED
        return BatchState.COMPLETED if self.all_run else BatchState.EXPIRED


async def write_results(gateway: Gateway, batch: Batch, unrun: Unrun) -> Written:
    """Writes both files, each if it has lines. Written again, they keep their ids.

    Requests of pages that are no more stand in neither: nobody knows their `custom_id`. They count as failed, and the
    facts name them among the errors.
    """
    good, bad = _Counts(), _Counts()
    lost: dict[int, PageLost] = {}
    output = await _write(gateway, batch, "output", good.over(result_lines(gateway, batch, ok=True, unrun=unrun, lost=lost)))
    errors = await _write(gateway, batch, "errors", bad.over(result_lines(gateway, batch, ok=False, unrun=unrun, lost=lost)))
    facts = Facts(
        total=batch.facts.total,
        completed=good.lines,
        failed=bad.lines + sum(one.page.count for one in lost.values()),
        errors=tuple(one.problem for one in lost.values()) or batch.facts.errors,
        output_file_id=output,
        error_file_id=errors,
    )
    return Written(facts, all_run=not good.unrun + bad.unrun)


async def _write(gateway: Gateway, batch: Batch, kind: str, lines: AsyncIterator[bytes]) -> str | None:
    content = await gateway.artifacts.put_stream(lines, media_type=MEDIA_TYPE)
    if not content.size:
        return None
    file_id = FILE_ID_PREFIX + hashlib.sha256(f"{batch.id} {kind}".encode()).hexdigest()[:32]
    order, name = batch.order, f"{batch.id}_{kind}.jsonl"
    seconds = LONGEST if order.output_seconds is None else order.output_seconds
    terms = {"tenant": order.tenant, "filename": name, "purpose": BATCH_OUTPUT}
    await enter(gateway.files, content, **terms, seconds=seconds, file_id=file_id)
    return file_id


class _Counts:
    """Counts the lines that pass."""

    lines = 0
    unrun = 0

    async def over(self, lines: AsyncIterator[Line]) -> AsyncIterator[bytes]:
        async for line in lines:
            self.lines += 1
            self.unrun += not line.was_run
            yield line.text
