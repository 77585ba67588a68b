"""The objects that the gateway answers with, as they are documented."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orrery.jobs.batches.records import BatchState
from orrery.jobs.records import JobState, Priority, TaskRecord
from orrery.worlds.catalog.models import Sampler, Workflow
from orrery.worlds.upsampling import Outcome


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class JobError(Answer):
    """`field` names the part of the request at fault, `allowed` says what would have been taken, `evidence` what matched."""

    code: str
    message: str
    field: str | None = Field(default=None, json_schema_extra={"x-optional": True})
    allowed: Any = Field(default=None, json_schema_extra={"x-optional": True})
    evidence: list[dict[str, Any]] | None = Field(default=None, json_schema_extra={"x-optional": True})


class RefusalDetail(JobError):
    type: Literal["invalid_request_error", "server_error"]


class Refusal(Answer):
    """Every error."""

    error: RefusalDetail


class World(Answer):
    """A request as it was settled. `seconds` is the length of the film, `parameters` all of it, `notes` about inputs."""

    workflow: Workflow
    size: str
    seconds: str
    seed: int
    num_frames: int
    fps: int
    num_inference_steps: int
    guidance_scale: float
    sampler: Sampler
    notes: dict[str, Any]
    parameters: dict[str, Any]
    queue_position: int | None = Field(description="Tasks that are handed out before the job's next one.")
    eta_seconds: float | None = Field(description="Until the job is done; null while nothing is known.")


class PreviewPlace(Answer):
    """A small JPEG of what is being made, after `step`, and its size in pixels."""

    step: int
    width: int
    height: int
    url: str


class Upsampled(Answer):
    """`outcome` says whose words the world is made from, `reason` why they are the request's own."""

    outcome: Literal["pending"] | Outcome
    reason: str | None


class Video(World):
    """OpenAI's `video`, and what it leaves unsaid. Times are Unix seconds."""

    id: str
    object: Literal["video"]
    model: str
    status: JobState
    progress: int = Field(ge=0, le=100)
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    upsampled_prompt: str | None = Field(description="What the world is made from, once a language model was asked for it.")
    upsampling: Upsampled | None = Field(description="What came of asking; null if nobody asks.")
    remixed_from_video_id: str | None
    error: JobError | None
    tenant: str
    priority: Priority
    webhook_url: str | None
    stage: str | None
    step: int | None
    num_steps: int | None
    preview: PreviewPlace | None = Field(description="The newest, while the job runs.")
    started_at: float | None
    finished_at: float | None
    timeline: list[TaskRecord]
    media_type: str
    file_size: int | None


class Page(Answer):
    object: Literal["list"]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoPage(Page):
    data: list[Video]


class DeadJobs(Answer):
    object: Literal["list"]
    data: list[Video]


class DeletedVideo(Answer):
    id: str
    object: Literal["video.deleted"]
    deleted: bool


class Estimate(World):
    """What a request would take. `device_seconds` is how long its tasks would hold components."""

    object: Literal["video.estimate"]
    model: str
    priority: Priority
    device_seconds: float | None


class Replay(Answer):
    id: str
    object: Literal["webhook.replay"]
    status: Literal["scheduled"]


class Image(Answer):
    """`b64_json` or `url`, as `response_format` asked."""

    b64_json: str | None = Field(default=None, json_schema_extra={"x-optional": True})
    url: str | None = Field(default=None, json_schema_extra={"x-optional": True})
    revised_prompt: str | None
    seed: int
    id: str


class Images(Answer):
    created: int
    data: list[Image]


class Model(Answer):
    """OpenAI's `model`. `schemas` has the JSON Schema of a body for each workflow, `parameters` the same in words."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    description: str
    default: bool
    random_weights: bool
    workflows: list[Workflow]
    parameters: dict[str, Any]
    schemas: dict[str, Any]
    max_outputs: int


class Models(Answer):
    object: Literal["list"]
    data: list[Model]


class File(Answer):
    """OpenAI's `file`."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: str
    status_details: str | None


class FilePage(Page):
    data: list[File]


class DeletedFile(Answer):
    id: str
    object: Literal["file"]
    deleted: bool


class RequestCounts(Answer):
    total: int
    completed: int
    failed: int


class Batch(BaseModel):
    """OpenAI's `batch`, with a time for each state that it was in."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["batch"]
    endpoint: str
    errors: dict[str, Any] | None
    input_file_id: str
    completion_window: str
    status: BatchState
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    expires_at: int
    request_counts: RequestCounts
    metadata: dict[str, str] | None


class BatchPage(Page):
    data: list[Batch]


class Inferred(Answer):
    """The NIM's answer: `b64_video`, or `b64_image` of text2image."""

    b64_video: str | None = Field(default=None, json_schema_extra={"x-optional": True})
    b64_image: str | None = Field(default=None, json_schema_extra={"x-optional": True})
    seed: int
    upsampled_prompt: str


class Health(BaseModel):
    model_config = ConfigDict(extra="allow")

    status: str


class Told(BaseModel):
    """An object of the NIM's about the service itself."""

    model_config = ConfigDict(extra="allow")
