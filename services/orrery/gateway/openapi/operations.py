"""Every operation of the gateway: what it takes, what it answers, and where its answer leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from orrery.gateway.openapi import answers

JSON = "application/json"
FORM = "multipart/form-data"
BYTES = "application/octet-stream"
EVENTS = "text/event-stream"
LINES = "application/jsonl"
TEXT = "text/plain"

TENANT, KEY = "X-Orrery-Tenant", "Idempotency-Key"
RANGE, IF_RANGE, IF_NONE_MATCH = "Range", "If-Range", "If-None-Match"
TAKEN = (TENANT, KEY)
OWNED = (TENANT,)

POLLING = ("openai-poll-after-ms", "Idempotent-Replayed")
FILE_HEADERS = ("ETag", "Accept-Ranges", "Content-Disposition")

FILMS = ("video/mp4", "video/x-matroska", "image/png", "image/jpeg", "image/webp", BYTES)


@dataclass(frozen=True)
class Told:
    """One answer: an object, or content of one of the media types; nothing of both is an answer without a body."""

    model: type[BaseModel] | None = None
    media_types: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """`bodies` are names of schemas by content type; `leads_to` are operations that take the answer's id."""

    id: str
    told: Mapping[int, Told]
    bodies: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    leads_to: tuple[str, ...] = ()


def _video(status: int = 200) -> dict[int, Told]:
    return {status: Told(answers.Video, headers=POLLING)}


def _object(model: type[BaseModel]) -> dict[int, Told]:
    return {200: Told(model)}


def _forms(name: str) -> dict[str, str]:
    return {JSON: name, FORM: f"{name}Form"}


_FILE = {
    200: Told(media_types=FILMS, headers=FILE_HEADERS),
    206: Told(media_types=FILMS, headers=(*FILE_HEADERS, "Content-Range")),
    304: Told(headers=("ETag",)),
}
_READY = {200: Told(answers.Health), 503: Told(answers.Health)}
_AFTER_VIDEO = (
    "readVideo",
    "deleteVideo",
    "cancelVideo",
    "requeueVideo",
    "downloadVideo",
    "describeVideoContent",
    "downloadImage",
    "remixVideo",
    "extendVideo",
    "editVideo",
    "followVideo",
    "replayWebhook",
)
_AFTER_BATCH = ("readBatch", "cancelBatch", "readBatchOutput", "readBatchErrors")

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("post", "/v1/videos"): Operation("createVideo", _video(202), _forms("CreateVideo"), TAKEN, _AFTER_VIDEO),
    ("get", "/v1/videos"): Operation("listVideos", _object(answers.VideoPage)),
    ("get", "/v1/videos/{job_id}"): Operation("readVideo", _video()),
    ("delete", "/v1/videos/{job_id}"): Operation("deleteVideo", _object(answers.DeletedVideo)),
    ("post", "/v1/videos/{job_id}/cancel"): Operation("cancelVideo", _video()),
    ("post", "/v1/videos/{job_id}/requeue"): Operation("requeueVideo", _video()),
    ("post", "/v1/videos/sync"): Operation(
        "createVideoAndWait",
        {200: Told(media_types=FILMS, headers=(*FILE_HEADERS, "X-Orrery-Job", "X-Orrery-Seed", "X-Orrery-Seconds"))},
        _forms("CreateVideo"),
        TAKEN,
    ),
    ("post", "/v1/videos/{job_id}/remix"): Operation("remixVideo", _video(202), _forms("RemixVideo"), TAKEN, _AFTER_VIDEO),
    ("post", "/v1/videos/extensions"): Operation("extendVideo", _video(202), _forms("ContinueVideo"), TAKEN, _AFTER_VIDEO),
    ("post", "/v1/videos/edits"): Operation("editVideo", _video(202), _forms("ContinueVideo"), TAKEN, _AFTER_VIDEO),
    ("post", "/v1/videos:estimate"): Operation("estimateVideo", _object(answers.Estimate), _forms("CreateVideo"), TAKEN),
    ("get", "/v1/videos/{job_id}/content"): Operation("downloadVideo", _FILE, headers=(RANGE, IF_RANGE, IF_NONE_MATCH)),
    ("head", "/v1/videos/{job_id}/content"): Operation(
        "describeVideoContent", {200: Told(headers=FILE_HEADERS), 304: Told(headers=("ETag",))}, headers=(IF_NONE_MATCH,)
    ),
    ("get", "/v1/images/{job_id}/content"): Operation("downloadImage", _FILE, headers=(RANGE, IF_RANGE, IF_NONE_MATCH)),
    ("get", "/v1/videos/{job_id}/events"): Operation("followVideo", {200: Told(media_types=(EVENTS,))}),
    ("get", "/v1/events"): Operation("followAll", {200: Told(media_types=(EVENTS,))}),
    ("post", "/v1/videos/{job_id}/webhook:replay"): Operation("replayWebhook", {202: Told(answers.Replay)}),
    ("post", "/v1/images/generations"): Operation("generateImages", _object(answers.Images), {JSON: "GenerateImages"}, TAKEN),
    ("post", "/v1/files"): Operation(
        "uploadFile",
        _object(answers.File),
        {FORM: "UploadFile"},
        OWNED,
        ("readFile", "deleteFile", "downloadFile", "createBatch"),
    ),
    ("get", "/v1/files"): Operation("listFiles", _object(answers.FilePage), headers=OWNED),
    ("get", "/v1/files/{file_id}"): Operation("readFile", _object(answers.File), headers=OWNED),
    ("delete", "/v1/files/{file_id}"): Operation("deleteFile", _object(answers.DeletedFile), headers=OWNED),
    ("get", "/v1/files/{file_id}/content"): Operation(
        "downloadFile",
        {200: Told(media_types=FILMS, headers=("ETag",)), 304: Told(headers=("ETag",))},
        headers=(TENANT, IF_NONE_MATCH),
    ),
    ("post", "/v1/batches"): Operation("createBatch", _object(answers.Batch), {JSON: "CreateBatch"}, TAKEN, _AFTER_BATCH),
    ("get", "/v1/batches"): Operation("listBatches", _object(answers.BatchPage), headers=OWNED),
    ("get", "/v1/batches/{batch_id}"): Operation("readBatch", _object(answers.Batch), headers=OWNED),
    ("post", "/v1/batches/{batch_id}/cancel"): Operation("cancelBatch", _object(answers.Batch), headers=OWNED),
    ("get", "/v1/batches/{batch_id}/output"): Operation("readBatchOutput", {200: Told(media_types=(LINES,))}, headers=OWNED),
    ("get", "/v1/batches/{batch_id}/errors"): Operation("readBatchErrors", {200: Told(media_types=(LINES,))}, headers=OWNED),
    ("post", "/v1/infer"): Operation("infer", _object(answers.Inferred), {JSON: "Infer"}, TAKEN),
    ("get", "/v1/health/live"): Operation("nimLive", _object(answers.Health)),
    ("get", "/v1/health/ready"): Operation("nimReady", _READY),
    ("get", "/v1/metrics"): Operation("nimMetrics", {200: Told(media_types=(TEXT,))}),
    ("get", "/v1/version"): Operation("nimVersion", _object(answers.Told)),
    ("get", "/v1/license"): Operation("nimLicense", _object(answers.Told)),
    ("get", "/v1/metadata"): Operation("nimMetadata", _object(answers.Told)),
    ("get", "/v1/manifest"): Operation("nimManifest", _object(answers.Told)),
    ("get", "/v1/jobs/dead"): Operation("listDeadJobs", _object(answers.DeadJobs)),
    ("get", "/v1/models"): Operation("listModels", _object(answers.Models)),
    ("get", "/v1/models/{name}"): Operation("readModel", _object(answers.Model)),
    ("get", "/health/live"): Operation("live", _object(answers.Health)),
    ("get", "/health/ready"): Operation("ready", _READY),
    ("get", "/metrics"): Operation("metrics", {200: Told(media_types=(TEXT,))}),
}
"""By method and path. A route without a row here is an error when the document is made."""
