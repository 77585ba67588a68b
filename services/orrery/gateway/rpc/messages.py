"""Between the messages of `orrery.v1` and the gateway's own records."""

from __future__ import annotations

from typing import Any

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import Metadata
from starlette.datastructures import Headers

from orrery.gateway.edge.callers import caller
from orrery.gateway.forecast import Forecast
from orrery.gateway.references import REFERENCE
from orrery.gateway.terms import TENANT
from orrery.gateway.views import job_view
from orrery.jobs.records import Event, Job, JobState, Preview
from orrery.v1 import worlds_pb2 as v1
from orrery.worlds.errors import InvalidField

STATUSES = {
    JobState.QUEUED: v1.STATUS_QUEUED,
    JobState.IN_PROGRESS: v1.STATUS_IN_PROGRESS,
    JobState.COMPLETED: v1.STATUS_COMPLETED,
    JobState.FAILED: v1.STATUS_FAILED,
    JobState.CANCELLED: v1.STATUS_CANCELLED,
}

SAME = ("id", "model", "workflow", "progress", "tenant", "priority", "prompt", "media_type")
SAME_IF_KNOWN = ("stage", "step", "num_steps", "queue_position", "eta_seconds", "file_size", "upsampled_prompt")
TIMES = ("created_at", "started_at", "finished_at", "expires_at")
TASK_FIELDS = ("id", "stage", "state", "attempt", "memo", "step", "num_steps")
"""Fields that mean the same in the view of a job and in its message."""


URI = "input_reference_uri"


def values_of(request: v1.CreateRequest) -> dict[str, Any]:
    """The fields that were given, as the body of a `POST /v1/videos` would name them, without the bytes of a reference."""
    given = {field.name: value for field, value in request.ListFields() if field.name != REFERENCE}
    if URI not in given:
        return given
    if request.HasField("input_reference"):
        raise InvalidField(f"give {REFERENCE} or {URI}, not both", field=URI, allowed="one of the two")
    return {REFERENCE if name == URI else name: value for name, value in given.items()}


def headers_of(metadata: Metadata | None) -> Headers:
    """Metadata as HTTP's headers; binary values have no counterpart there. The tenant is the caller's, once it is known."""
    pairs = [(name.lower(), value) for name, value in metadata or () if isinstance(value, str)]
    key, told = caller(), TENANT.lower()
    if key is not None:
        pairs = [*((name, value) for name, value in pairs if name != told), (told, key.tenant)]
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in pairs])


def world_of(job: Job, forecast: Forecast, *, replayed: bool = False) -> v1.World:
    """The job as HTTP shows it."""
    view = job_view(job, forecast)
    known: dict[str, Any] = {name: view[name] for name in SAME} | _some(view, SAME_IF_KNOWN)
    known |= {name: _time(getattr(job, name)) for name in TIMES}
    return v1.World(
        **known,
        status=STATUSES[job.state],
        parameters=_struct(view["parameters"]),
        error=None if job.error is None else v1.Error(**_some(job.error, ("code", "message", "field"))),
        tasks=[v1.Task(**_some(task, TASK_FIELDS)) for task in view["timeline"]],
        replayed=replayed,
    )


def event_of(event: Event, world: v1.World | None, preview: Preview | None) -> v1.Event:
    known = _some(event.data, ("stage", "step", "num_steps"))
    return v1.Event(id=event.id, type=event.type, at=_time(event.at), world=world, preview=_preview(preview), **known)


def _preview(preview: Preview | None) -> v1.Preview | None:
    if preview is None:
        return None
    return v1.Preview(media_type=preview.media_type, data=preview.image, width=preview.width, height=preview.height)


def _some(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


def _time(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    stamp = Timestamp()
    stamp.FromMicroseconds(round(seconds * 1e6))
    return stamp
