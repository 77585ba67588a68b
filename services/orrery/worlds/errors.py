"""One tree of errors. Each leaf carries its HTTP status, its gRPC code and the stable code of a job's error."""

from __future__ import annotations

from typing import Any, ClassVar


class OrreryError(Exception):
    """Base of every error that may reach a client.

    `field` names the request field at fault, `allowed` says in words or numbers what would have been accepted.
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        allowed: Any = None,
        evidence: list[dict[str, Any]] | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.field = field
        self.allowed = allowed
        self.evidence = evidence

    def to_dict(self) -> dict[str, Any]:
        """The wire form: `code` and `message` always, the rest only when known."""
        optional = {"field": self.field, "allowed": self.allowed, "evidence": self.evidence}
        return {"code": self.code, "message": self.message} | {k: v for k, v in optional.items() if v is not None}


class InvalidRequest(OrreryError):
    """The request can never be served as it stands."""

    code = "invalid_request"
    http_status = 422
    grpc_code = "INVALID_ARGUMENT"


class InvalidField(InvalidRequest):
    code = "invalid_field"


class UnknownField(InvalidRequest):
    code = "unknown_field"


class InvalidMedia(InvalidRequest):
    """An upload that is not the image or clip it should be."""

    code = "invalid_media"


class PromptBlocked(InvalidRequest):
    """A guardrail refused the text; `evidence` lists what matched."""

    code = "prompt_blocked"
    grpc_code = "PERMISSION_DENIED"


class UploadTooLarge(OrreryError):
    code = "upload_too_large"
    http_status = 413
    grpc_code = "RESOURCE_EXHAUSTED"


class QueueFull(OrreryError):
    """As much waits as may wait. `retry_after` is in how many seconds there should be room, as the work goes now."""

    code = "queue_full"
    http_status = 429
    grpc_code = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, retry_after: float = 1.0, **fields: Any):
        super().__init__(message, **fields)
        self.retry_after = retry_after


class IdempotencyConflict(InvalidRequest):
    """The idempotency key was used for another body, or for a job that is no more."""

    code = "idempotency_conflict"


class UnknownModel(OrreryError):
    code = "unknown_model"
    http_status = 404
    grpc_code = "NOT_FOUND"


class JobNotFound(OrreryError):
    code = "job_not_found"
    http_status = 404
    grpc_code = "NOT_FOUND"


class FileNotKnown(OrreryError):
    """There is no such file, or it is another tenant's, or it has expired."""

    code = "file_not_found"
    http_status = 404
    grpc_code = "NOT_FOUND"


class BatchNotFound(OrreryError):
    """There is no such batch, or it is another tenant's."""

    code = "batch_not_found"
    http_status = 404
    grpc_code = "NOT_FOUND"


class JobNotFinished(OrreryError):
    """The content of a job was asked for before there is any."""

    code = "job_not_finished"
    http_status = 409
    grpc_code = "FAILED_PRECONDITION"


class PreviewNotFound(OrreryError):
    """There is no preview of the job: none was made yet, or the job has ended."""

    code = "preview_not_found"
    http_status = 404
    grpc_code = "NOT_FOUND"


class PreviewTooLarge(OrreryError):
    """A stage made a preview of more bytes than are kept."""

    code = "preview_too_large"


class JobCancelled(OrreryError):
    """The job that was waited for was cancelled by someone else."""

    code = "job_cancelled"
    http_status = 409
    grpc_code = "CANCELLED"


class ArtifactNotFound(OrreryError):
    code = "artifact_not_found"
    http_status = 404
    grpc_code = "NOT_FOUND"


class ArtifactCorrupt(OrreryError):
    """What was read does not have the digest it was stored under."""

    code = "artifact_corrupt"


class StoreUnavailable(OrreryError):
    """The job store does not answer; what was asked may or may not have happened."""

    code = "store_unavailable"
    http_status = 503
    grpc_code = "UNAVAILABLE"


class StageUnavailable(OrreryError):
    """The stage's server went away or is not ready; the task may be tried again."""

    code = "stage_unavailable"
    http_status = 503
    grpc_code = "UNAVAILABLE"


class StageBroken(StageUnavailable):
    """The server answers, but this stage in it will not run again by itself: its process died, or lost its device."""

    code = "stage_broken"


class StageFailed(OrreryError):
    """The stage ran and failed."""

    code = "stage_failed"


class UpsamplingFailed(OrreryError):
    """The language model that rewrites prompts gave none. The message has nothing of what it was asked or said."""

    code = "upsampling_failed"
    http_status = 502
    grpc_code = "UNAVAILABLE"


class CheckpointRefused(StageFailed):
    """What a stage was to go on from is not a checkpoint of the same work."""

    code = "checkpoint_refused"


class ComponentUnusable(OrreryError):
    """Weights are missing, changed on disk, or not what the catalog says."""

    code = "component_unusable"


class DeviceFull(ComponentUnusable):
    """Weights do not fit on the device. `evidence` has the bytes: `needed`, the `budget`, and what is `resident`, by name."""

    code = "device_full"
    grpc_code = "RESOURCE_EXHAUSTED"


class AttemptsExhausted(OrreryError):
    """Every attempt at a task ended with its worker gone."""

    code = "attempts_exhausted"


def leaves() -> dict[str, type[OrreryError]]:
    """Every error class by its code."""
    found: dict[str, type[OrreryError]] = {}
    queue: list[type[OrreryError]] = [OrreryError]
    while queue:
        cls = queue.pop()
        found[cls.code] = cls
        queue.extend(cls.__subclasses__())
    return found


def from_dict(body: dict[str, Any]) -> OrreryError:
    """The inverse of `OrreryError.to_dict`; a code this version does not know becomes `StageFailed`."""
    cls = leaves().get(body["code"], StageFailed)
    return cls(body["message"], field=body.get("field"), allowed=body.get("allowed"), evidence=body.get("evidence"))
