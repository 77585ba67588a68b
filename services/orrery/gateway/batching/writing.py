"""The files of a batch's results."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from orrery.gateway.batching.results import Unrun, result_lines
from orrery.gateway.batching.validation import MEDIA_TYPE
from orrery.gateway.context import Gateway
from orrery.gateway.shelf import BATCH_OUTPUT, FILE_ID_PREFIX, LONGEST, enter
from orrery.jobs.batches.records import Batch, Facts


async def write_results(gateway: Gateway, batch: Batch, unrun: Unrun) -> Facts:
    """Writes both files, each if it has lines; the batch's last facts. Written again, they keep their ids."""
    output, completed = await _write(gateway, batch, unrun, ok=True)
    errors, failed = await _write(gateway, batch, unrun, ok=False)
    return Facts(total=batch.facts.total, completed=completed, failed=failed, output_file_id=output, error_file_id=errors)


async def _write(gateway: Gateway, batch: Batch, unrun: Unrun, *, ok: bool) -> tuple[str | None, int]:
    counted = _Counted()
    lines = counted.over(result_lines(gateway, batch, ok=ok, unrun=unrun))
    content = await gateway.artifacts.put_stream(lines, media_type=MEDIA_TYPE)
    if not counted.lines:
        return None, 0
    kind = "output" if ok else "errors"
    file_id = FILE_ID_PREFIX + hashlib.sha256(f"{batch.id} {kind}".encode()).hexdigest()[:32]
    order, name = batch.order, f"{batch.id}_{kind}.jsonl"
    seconds = LONGEST if order.output_seconds is None else order.output_seconds
    terms = {"tenant": order.tenant, "filename": name, "purpose": BATCH_OUTPUT}
    await enter(gateway.files, content, **terms, seconds=seconds, file_id=file_id)
    return file_id, counted.lines


class _Counted:
    """Counts what passes."""

    lines = 0

    async def over(self, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for line in lines:
            self.lines += 1
            yield line
