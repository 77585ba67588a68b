"""What a gateway answers, typed and frozen. Fields that this version does not know are kept and can be read too."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

ENDED = frozenset({"completed", "failed", "cancelled"})


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class Task(Answer):
    """One row of a job's timeline."""

    id: str
    stage: str
    state: str
    step: int | None = None
    num_steps: int | None = None
    memo: bool = False
    stage_seconds: float | None = None


class Preview(Answer):
    """That a job shows what it has made after `step`: a JPEG of so many pixels. `Client.preview` gets the newest."""

    step: int
    width: int
    height: int
    url: str


class Upsampling(Answer):
    """Whose words a world is made from, `upsampled` or `original`, and for which reason if they are the client's own.

    `pending` until that is known.
    """

    outcome: str
    reason: str | None = None


class World(Answer):
    """A job and the video that it makes. Times are Unix seconds, `progress` is in percent, `eta_seconds` until its end.

    `error` is what the server said if the job failed: its `code` and `message`.
    """

    id: str
    status: str
    model: str | None = None
    workflow: str | None = None
    progress: int = 0
    stage: str | None = None
    step: int | None = None
    num_steps: int | None = None
    preview: Preview | None = None
    queue_position: int | None = None
    eta_seconds: float | None = None
    prompt: str | None = None
    upsampled_prompt: str | None = None
    upsampling: Upsampling | None = None
    size: str | None = None
    num_frames: int | None = None
    fps: int | None = None
    seed: int | None = None
    tenant: str | None = None
    priority: str | None = None
    created_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    error: dict[str, Any] | None = None
    parameters: dict[str, Any] = {}
    media_type: str | None = None
    file_size: int | None = None
    timeline: tuple[Task, ...] = ()

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Worlds(Answer):
    """A page of jobs."""

    data: tuple[World, ...]
    has_more: bool = False
    last_id: str | None = None


class Deleted(Answer):
    id: str
    deleted: bool


class Receipt(Answer):
    """What became of a request about a job."""

    id: str
    status: str


class Model(Answer):
    """A served model; `parameters` are those of each workflow, with defaults and what is allowed."""

    id: str
    description: str | None = None
    default: bool = False
    random_weights: bool = False
    workflows: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}


class Models(Answer):
    data: tuple[Model, ...]


class Estimate(Answer):
    """What a request would take, without its being taken: seconds until it would be done, and seconds of devices."""

    model: str | None = None
    workflow: str | None = None
    size: str | None = None
    num_frames: int | None = None
    queue_position: int | None = None
    eta_seconds: float | None = None
    device_seconds: float | None = None


class File(Answer):
    id: str
    filename: str | None = None
    bytes: int | None = None
    purpose: str | None = None


class Batch(Answer):
    """Many requests under one name. `output_file_id` and `error_file_id` name the files of what came of them."""

    id: str
    status: str
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    request_counts: dict[str, int] = {}

    @property
    def ended(self) -> bool:
        return self.status in {"completed", "failed", "expired", "cancelled"}


class Event(Answer):
    """`id` is where a watch can go on. Types: `job.queued`, `job.in_progress`, `job.progress`, `job.completed`, `job.failed`,
    `job.cancelled`; of the events of all jobs also `events.forgotten`, which belongs to no job.
    """

    id: str
    type: str
    job_id: str | None = None
    at: float | None = None
    data: dict[str, Any] = {}

    @property
    def preview(self) -> Preview | None:
        """Some of `job.progress` tell of one."""
        told = self.data.get("preview")
        return None if told is None else Preview.model_validate(told)

    @property
    def is_end(self) -> bool:
        return self.type.removeprefix("job.") in ENDED
