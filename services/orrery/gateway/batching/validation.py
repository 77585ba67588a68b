"""The whole input of a batch is read and checked before any of it is submitted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from orrery.gateway.batching.endpoints import ENDPOINTS, Child
from orrery.gateway.batching.lines import BadLine, Entry, Reader, Refused, Text, pages_of
from orrery.gateway.context import Gateway
from orrery.jobs.batches.records import Batch, BatchState, Facts, Outcome, Page, Problem
from orrery.worlds.errors import ArtifactCorrupt, ArtifactNotFound

MOST_PROBLEMS = 100
MEDIA_TYPE = "application/jsonl"


async def validate(gateway: Gateway, batch: Batch) -> None:
    """Brings the batch in progress, its input kept in pages; or fails it, with the lines that are at fault."""
    found = _Found(gateway, batch)
    try:
        async for texts in pages_of(gateway.artifacts.stream(batch.order.input), gateway.settings.max_json_bytes):
            if not await found.keep(texts):
                return  # it was cancelled
            if found.is_hopeless:
                break
    except BadLine as bad:
        found.problems.append(bad.problem)
    except (ArtifactNotFound, ArtifactCorrupt) as error:
        message = f"The input cannot be read any more: {error.message}."
        found.problems.append(Problem(code=error.code, message=message, param="input_file_id"))
    problems = found.all_problems()
    if problems:
        await gateway.batches.move(batch.id, BatchState.FAILED, Facts(errors=problems))
    else:
        await gateway.batches.move(batch.id, BatchState.IN_PROGRESS, Facts(total=found.total, failed=found.refused))


@dataclass
class _Found:
    gateway: Gateway
    batch: Batch
    problems: list[Problem] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        order, gateway = self.batch.order, self.gateway
        check = ENDPOINTS[order.endpoint].check
        self._reader = Reader(order.endpoint, lambda line, body: check(gateway, Child(order, line), body))

    @property
    def total(self) -> int:
        return self._reader.count

    @property
    def is_hopeless(self) -> bool:
        """Whether reading on could change nothing."""
        return self.total > self.gateway.settings.max_batch_lines or len(self.problems) >= MOST_PROBLEMS

    async def keep(self, texts: Sequence[Text]) -> bool:
        """Whether the batch is still being validated."""
        first = self.total + 1
        entries, refused = await asyncio.to_thread(self._read, texts)
        if self.problems:
            return True  # nothing of it will be submitted: only what else is wrong is still of interest
        data = b"".join(entry.model_dump_json().encode() + b"\n" for entry in entries)
        content = await self.gateway.artifacts.put(data, media_type=MEDIA_TYPE)
        self.refused += len(refused)
        return await self.gateway.batches.keep(self.batch.id, Page(first=first, count=len(entries), content=content), refused)

    def _read(self, texts: Sequence[Text]) -> tuple[list[Entry], list[Outcome]]:
        entries: list[Entry] = []
        refused: list[Outcome] = []
        for text in texts:
            try:
                read = self._reader.read(text)
            except BadLine as bad:
                self.problems.append(bad.problem)
                continue
            entries.append(read.entry if isinstance(read, Refused) else read)
            if isinstance(read, Refused):
                error = read.error
                refused.append(Outcome(line=read.entry.number, status=error.http_status, error=error.to_dict()))
        return entries, refused

    def all_problems(self) -> tuple[Problem, ...]:
        most = self.gateway.settings.max_batch_lines
        if not self.problems and not self.total:
            self.problems.append(Problem(code="empty_file", message="The file has no lines."))
        if self.total > most:
            self.problems.append(Problem(code="too_many_lines", message=f"The file has more than {most} lines."))
        return tuple(self.problems[:MOST_PROBLEMS])
