"""Batches as clients see them: OpenAI's shape."""

from __future__ import annotations

from typing import Any

from orrery.jobs.batches.records import Batch, BatchPage, BatchState

TIMED = tuple(state for state in BatchState if state is not BatchState.VALIDATING)
"""States whose beginning is a field of its own."""


def batch_view(batch: Batch) -> dict[str, Any]:
    """OpenAI's `batch` object."""
    order, facts = batch.order, batch.facts
    problems = [problem.model_dump() for problem in facts.errors]
    times = {f"{state}_at": batch.moved_at.get(state) for state in TIMED} | {"expires_at": order.expires_at}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": order.endpoint,
        "errors": {"object": "list", "data": problems} if problems else None,
        "input_file_id": order.input_file_id,
        "completion_window": order.completion_window,
        "status": batch.state.value,
        "output_file_id": facts.output_file_id,
        "error_file_id": facts.error_file_id,
        "created_at": int(order.created_at),
        **{name: None if at is None else int(at) for name, at in times.items()},
        "request_counts": {"total": facts.total, "completed": facts.completed, "failed": facts.failed},
        "metadata": order.metadata,
    }


def batch_page_view(page: BatchPage) -> dict[str, Any]:
    ids = [batch.id for batch in page.batches]
    return {
        "object": "list",
        "data": [batch_view(batch) for batch in page.batches],
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": page.has_more,
    }
