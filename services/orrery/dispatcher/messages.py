"""What receivers of webhooks are told, as the Standard Webhooks have it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from orrery.jobs.deliveries import WEBHOOK_URL, Delivery
from orrery.jobs.records import Job, JobState

EVENTS = {
    "job.in_progress": JobState.IN_PROGRESS,
    "job.completed": JobState.COMPLETED,
    "job.failed": JobState.FAILED,
    "job.cancelled": JobState.CANCELLED,
}
SECRET_PREFIX = "whsec_"  # noqa: S105 -- how a secret begins


def messages(job: Job, everyone: str | None) -> list[Delivery]:
    """About the state that the job is in: to `everyone`'s URL and to the job's own.

    The same state of the same job gives the same ids again, also when it is asked for later.
    """
    urls = dict.fromkeys(url for url in (everyone, job.notes.get(WEBHOOK_URL)) if url)
    body = json.dumps(_body(job), separators=(",", ":"))
    return [Delivery(id=_id(job, url), job_id=job.id, url=url, body=body, trace=job.trace) for url in urls]


def _body(job: Job) -> dict[str, Any]:
    since = datetime.fromtimestamp(_since(job), UTC)
    shown = ("id", "model", "workflow", "tenant", "priority", "created_at", "started_at", "finished_at", "expires_at", "error")
    data = {"object": "video", "status": job.state.value} | job.model_dump(mode="json", include=set(shown))
    return {"type": f"video.{job.state}", "timestamp": since.isoformat().replace("+00:00", "Z"), "data": data}


def _since(job: Job) -> float:
    return job.finished_at or job.started_at or job.created_at


def _id(job: Job, url: str) -> str:
    """A job that was requeued fails a second time at another time: that is another message."""
    words = _words(job.id, job.state, repr(_since(job)), url)
    return f"msg_{hashlib.sha256(words).hexdigest()[:32]}"


def _words(*words: str) -> bytes:
    return "\n".join(words).encode()


def signed_headers(key: bytes, message_id: str, timestamp: int, body: str) -> dict[str, str]:
    """The headers by which a receiver that shares the key knows who sent the body, and when."""
    mac = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def wanted(*, in_progress: bool) -> frozenset[str]:
    """The types of events that receivers are told of."""
    return frozenset(kind for kind in EVENTS if in_progress or EVENTS[kind].ended)


def of_event(job: Job, kind: str, everyone: str | None) -> Iterable[Delivery]:
    """None if the job is not in the event's state any more: what came after has an event of its own."""
    return messages(job, everyone) if job.state is EVENTS[kind] else []
