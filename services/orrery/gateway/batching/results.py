"""The lines of a batch's results, in OpenAI's form and the order of the input."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from orrery.gateway.batching.endpoints import ENDPOINTS, Child
from orrery.gateway.batching.lines import Entry
from orrery.gateway.context import Gateway
from orrery.jobs.batches.records import Batch, Outcome, Page, Problem
from orrery.jobs.records import Job, JobState
from orrery.worlds.errors import ArtifactCorrupt, ArtifactNotFound, JobCancelled, JobNotFound, OrreryError, from_dict


@dataclass(frozen=True)
class Unrun:
    """Why lines that were not run were not."""

    code: str
    message: str


CANCELLED = Unrun("batch_cancelled", "The batch was cancelled before this request was executed.")
EXPIRED = Unrun("batch_expired", "This request could not be executed before the completion window expired.")
FAILED = Unrun("batch_failed", "The batch failed before this request was executed; its errors say why.")


@dataclass(frozen=True)
class Line:
    """With its line break."""

    text: bytes
    was_run: bool


class PageLost(Exception):
    """A page of the input is no more, and with it who asked for what."""

    def __init__(self, page: Page, error: OrreryError) -> None:
        super().__init__(error.message)
        self.page = page
        requests = f"Requests {page.first} to {page.first + page.count - 1} of the input"
        self.problem = Problem(code=error.code, message=f"{requests} cannot be read any more: {error.message}.")


async def entries_of(gateway: Gateway, page: Page) -> list[Entry]:
    """Raises `PageLost`: nothing will bring it back."""
    try:
        data = bytes(await gateway.artifacts.get(page.content))
    except (ArtifactNotFound, ArtifactCorrupt) as error:
        raise PageLost(page, error) from error
    return [Entry.model_validate_json(line) for line in data.splitlines()]


async def result_lines(
    gateway: Gateway, batch: Batch, *, ok: bool, unrun: Unrun | None = None, lost: dict[int, PageLost] | None = None
) -> AsyncIterator[Line]:
    """Of requests that went well, or of the others. Those without an outcome are left out, or are `unrun` if that is given.

    Pages that are no more are entered in `lost`, by their first line, and left out. Without it raises `PageLost`.
    """
    results = _Results(gateway, batch, unrun)
    for page in await gateway.batches.pages(batch.id):
        try:
            entries = await entries_of(gateway, page)
        except PageLost as error:
            if lost is None:
                raise
            lost[page.first] = error
            continue
        outcomes = await gateway.batches.outcomes(batch.id, [entry.number for entry in entries])
        for entry in entries:
            outcome = outcomes.get(entry.number) or (Outcome(line=entry.number) if unrun else None)
            if outcome is not None and outcome.ok == ok:
                yield Line(await results.line(entry, outcome), was_run=outcome.status is not None or outcome.jobs > 0)


@dataclass(frozen=True)
class _Results:
    gateway: Gateway
    batch: Batch
    unrun: Unrun | None

    async def line(self, entry: Entry, outcome: Outcome) -> bytes:
        child = Child(self.batch.order, entry.number)
        response, error = await self._response(child, entry.body or {}, outcome)
        line = {"id": child.request_id, "custom_id": entry.custom_id, "response": response, "error": error}
        return json.dumps(line).encode() + b"\n"

    async def _response(
        self, child: Child, body: dict[str, Any], outcome: Outcome
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        if outcome.error is not None:
            return _response(child, outcome.status or 500, {"error": outcome.error}), None
        if not outcome.jobs:
            why = self.unrun or CANCELLED
            return None, {"code": why.code, "message": why.message}
        try:
            jobs = [await self.gateway.jobs.get(job_id) for job_id in child.job_ids(outcome.jobs)]
            _raise_first(jobs)
            answer = await ENDPOINTS[self.batch.order.endpoint].answer(self.gateway, child, body, jobs)
        except OrreryError as error:
            return _response(child, error.http_status, {"error": error.to_dict()}), None
        return _response(child, 200, answer), None


def _response(child: Child, status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": status, "request_id": child.job_id(), "body": body}


def _raise_first(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.state is JobState.CANCELLED:
            raise JobCancelled(f"job {job.id} was cancelled")
        if job.error is not None:
            raise from_dict(job.error)


def outcome_of(line: int, states: Sequence[JobState | None]) -> Outcome | None:
    """Of a line whose jobs are in these states (None: deleted); None while any is at work."""
    if None in states:
        error = JobNotFound("the job of this request was deleted")
        return Outcome(line=line, status=error.http_status, error=error.to_dict())
    if not all(state is not None and state.ended for state in states):
        return None
    return Outcome(line=line, ok=all(state is JobState.COMPLETED for state in states), jobs=len(states))
