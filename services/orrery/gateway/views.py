"""Jobs and models as clients see them: OpenAI's shapes, with what they leave unsaid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from orrery.gateway.deriving import remixed_from, shown_frames
from orrery.gateway.forecast import Forecast
from orrery.gateway.parameters import request_parameters, request_schema
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.upsampled import upsampling_view
from orrery.jobs.deliveries import WEBHOOK_URL
from orrery.jobs.records import Job, JobPage, JobState, PreviewNote, TaskRecord, TaskState
from orrery.worlds.catalog.components import owner_of
from orrery.worlds.catalog.models import MEDIA_TYPES, ModelSpec
from orrery.worlds.requests import WorldRequest

Timeline = TypeAdapter(tuple[TaskRecord, ...])

PREVIEW = "preview"
"""What a job shows while it runs, among the variants of its content."""


def job_view(job: Job, forecast: Forecast) -> dict[str, Any]:
    """OpenAI's `video` object and Orrery's own fields after it."""
    return record_view(job) | asdict(forecast)


def record_view(job: Job) -> dict[str, Any]:
    """All of it that does not change with time alone."""
    request = WorldRequest.model_validate(job.request)
    return _video(job, request) | world_view(job, request) | _work(job) | _media(job, request)


def _video(job: Job, request: WorldRequest) -> dict[str, Any]:
    completed = job.finished_at if job.state is JobState.COMPLETED else None
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": job.state.value,
        "progress": int(job.progress * 100),
        "created_at": int(job.created_at),
        "completed_at": None if completed is None else int(completed),
        "expires_at": None if job.expires_at is None else int(job.expires_at),
        "prompt": request.prompt,
        **upsampling_view(job, request),
        "remixed_from_video_id": remixed_from(job),
        "error": job.error,
    }


def world_view(job: Job, request: WorldRequest) -> dict[str, Any]:
    """The request as it was settled, and what was done to its inputs."""
    seconds = f"{shown_frames(job, request) / request.fps:g}"
    settled = request.model_dump(mode="json", exclude={"conditioning", "prelude", "workflow", "prompt"}) | {
        "size": str(request.size)
    }
    shown = ("seed", "num_frames", "fps", "num_inference_steps", "guidance_scale", "sampler")
    notes = {name: note for name, note in job.notes.items() if name != WEBHOOK_URL}
    head = {"workflow": job.workflow, "size": str(request.size), "seconds": seconds}
    return head | {name: settled[name] for name in shown} | {"notes": notes, "parameters": settled}


def _work(job: Job) -> dict[str, Any]:
    stepping = next((t for t in reversed(job.tasks) if t.state is TaskState.RUNNING and t.num_steps), None)
    return {
        "tenant": job.tenant,
        "priority": job.priority.value,
        "webhook_url": job.notes.get(WEBHOOK_URL),
        "stage": job.stage,
        "step": stepping and stepping.step,
        "num_steps": stepping and stepping.num_steps,
        "preview": job.preview and preview_view(job.id, job.preview),
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "timeline": Timeline.dump_python(job.tasks, mode="json"),
    }


def preview_view(job_id: str, note: PreviewNote) -> dict[str, Any]:
    """Where a preview is, and what it is of."""
    return note.model_dump() | {"url": f"/v1/videos/{job_id}/content?variant={PREVIEW}"}


def _media(job: Job, request: WorldRequest) -> dict[str, Any]:
    media = job.result.get("media")
    return {"media_type": MEDIA_TYPES[request.output_format], "file_size": media and media.size}


def page_view(page: JobPage, forecasts: Sequence[Forecast]) -> dict[str, Any]:
    data = [job_view(job, forecast) for job, forecast in zip(page.jobs, forecasts, strict=True)]
    ids = [job.id for job in page.jobs]
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": page.has_more,
    }


def model_view(model: ModelSpec, settings: GatewaySettings) -> dict[str, Any]:
    """OpenAI's `model` object with the parameters of each workflow, their defaults and what is allowed."""
    return {
        "id": model.name,
        "object": "model",
        "created": 0,
        "owned_by": owner_of(model),
        "description": model.description,
        "default": model.name == settings.default_model,
        "random_weights": model.name in settings.random_weights,
        "workflows": [str(workflow) for workflow in model.workflows],
        "parameters": {str(workflow): request_parameters(model, workflow) for workflow in model.workflows},
        "schemas": {str(workflow): request_schema(model, workflow) for workflow in model.workflows},
        "max_outputs": model.max_outputs,
    }
