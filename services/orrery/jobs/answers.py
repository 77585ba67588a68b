"""What both stores say in the same words."""

from __future__ import annotations

from typing import Any

from orrery.jobs.records import Claim, Preview
from orrery.jobs.rules import UNMEASURED
from orrery.worlds.errors import AttemptsExhausted, IdempotencyConflict, JobNotFound, PreviewTooLarge, QueueFull, StageFailed

PREVIEW_BYTES, PREVIEW_SECONDS = 64 * 1024, 3600.0
"""The most that is kept of a preview, and how long."""

SHORTEST_WAIT, LONGEST_WAIT = 1.0, 3600.0


def progress_data(claim: Claim, step: int, num_steps: int) -> dict[str, Any]:
    """The data of a `job.progress` event."""
    return {"task": claim.task.id, "stage": claim.task.stage, "step": step, "num_steps": num_steps}


def check_preview(preview: Preview) -> None:
    """Raises `PreviewTooLarge`."""
    if (size := len(preview.image)) > PREVIEW_BYTES:
        raise PreviewTooLarge(f"the preview has {size} bytes", field="preview", allowed=f"{PREVIEW_BYTES} bytes")


def exhausted(pool: str, attempts: int, reason: object = "its worker was gone") -> dict[str, Any]:
    """The error of a job one of whose tasks used up its attempts; `reason` is why the last one ended."""
    return AttemptsExhausted(f"{pool}: none of {attempts} attempts at the task came to an end; at the last: {reason}").to_dict()


def missing_output(claim: Claim, name: str) -> StageFailed:
    return StageFailed(f"{claim.task.stage} made no output {name!r}, which the plan reads")


def no_such_job(job_id: str | None) -> JobNotFound:
    return JobNotFound(f"there is no job {job_id}")


def queue_full(pool: str, excess: int, seconds: float | None, workers: int) -> QueueFull:
    """`excess` tasks of `pool` must start before there is room; each takes `seconds`, and `workers` do them."""
    pace = (UNMEASURED if seconds is None else seconds) / max(workers, 1)
    wait = min(max(excess * pace, SHORTEST_WAIT), LONGEST_WAIT)
    return QueueFull(f"{pool}: {excess} tasks more than may wait", retry_after=wait)


def conflict(job_id: str) -> IdempotencyConflict:
    return IdempotencyConflict(f"the idempotency key stands for job {job_id}, which had another body or was deleted")
