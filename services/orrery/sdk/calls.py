"""Every operation of the HTTP API as data: what is sent, and how the answer is read. Both clients send these."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

import httpx

from orrery.sdk.results import Answer, Batch, Deleted, Estimate, File, Models, Receipt, World, Worlds

T = TypeVar("T")
A = TypeVar("A", bound=Answer)

Source = Path | bytes
"""A file, or its bytes."""

KEY = "Idempotency-Key"
VIDEOS = "/v1/videos"
FILES = "/v1/files"
BATCHES = "/v1/batches"


class Parameters(TypedDict, total=False):
    """What may be asked of a world; what is left out is the model's default. Ranges and defaults: `Client.models`."""

    model: str | None
    negative_prompt: str | None
    size: str | None
    resolution: str | None
    aspect_ratio: str | None
    num_frames: int | None
    seconds: int | None
    num_chunks: int | None
    chunk_size: int | None
    chunk_overlap: int | None
    fps: int | None
    num_conditional_frames: int | None
    num_inference_steps: int | None
    guidance_scale: float | None
    seed: int | None
    sampler: str | None
    numerics: str | None
    output_format: str | None
    prompt_upsampling: bool | None
    lora: str | None
    lora_scale: float | None
    priority: Literal["interactive", "standard", "batch"] | None
    expires_after: int | None
    webhook_url: str | None


@dataclass(frozen=True)
class Upload:
    """A file as a part of a form; opened anew for every time that it is sent."""

    name: str
    source: Source

    @contextmanager
    def part(self) -> Iterator[dict[str, tuple[str, BinaryIO | bytes]]]:
        if isinstance(self.source, bytes):
            yield {self.name: (self.name, self.source)}
            return
        with self.source.open("rb") as file:
            yield {self.name: (self.source.name, file)}


@dataclass(frozen=True)
class Call(Generic[T]):
    """`repeatable`: sending it twice is no more than sending it once."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str | int] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] | None = None
    upload: Upload | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True

    @contextmanager
    def arguments(self) -> Iterator[dict[str, Any]]:
        """For `httpx.Client.request`; files are open as long as the context."""
        known = {"method": self.method, "url": self.path, "params": self.params, "headers": self.headers}
        if self.upload is None:
            yield known | ({} if self.body is None else {"json": self.body})
            return
        with self.upload.part() as files:
            yield known | {"data": dict(self.form or {}), "files": files}


def _of(collection: str, one: str, *more: str) -> str:
    """The path of something by its id, whatever is in that."""
    return "/".join((collection, quote(one, safe=""), *more))


def reads(kind: type[A]) -> Callable[[httpx.Response], A]:
    return lambda answer: kind.model_validate(answer.json())


def create(prompt: str, reference: Source | None, key: str | None, parameters: Parameters) -> Call[World]:
    return Call("POST", VIDEOS, reads(World), headers=_keyed(key), **_request(prompt, reference, parameters))


def images(prompt: str, parameters: Parameters) -> Call[tuple[bytes, ...]]:
    body = body_of(prompt, parameters) | {"response_format": "b64_json"}
    return Call("POST", "/v1/images/generations", _decoded, body=body, repeatable=False)


def _decoded(answer: httpx.Response) -> tuple[bytes, ...]:
    return tuple(base64.b64decode(image["b64_json"]) for image in answer.json()["data"])


def estimate(prompt: str, reference: Source | None, parameters: Parameters) -> Call[Estimate]:
    return Call("POST", f"{VIDEOS}:estimate", reads(Estimate), **_request(prompt, reference, parameters))


def remix(job_id: str, prompt: str, key: str | None, parameters: Parameters) -> Call[World]:
    return Call("POST", _of(VIDEOS, job_id, "remix"), reads(World), body=body_of(prompt, parameters), headers=_keyed(key))


def derive(
    kind: Literal["extensions", "edits"], job_id: str, prompt: str, key: str | None, parameters: Parameters
) -> Call[World]:
    body = body_of(prompt, parameters) | {"video": {"id": job_id}}
    return Call("POST", f"{VIDEOS}/{kind}", reads(World), body=body, headers=_keyed(key))


def _keyed(key: str | None) -> dict[str, str]:
    """Whatever makes a job has a key, so that it can be sent again without a second job."""
    return {KEY: key or uuid.uuid4().hex}


def _request(prompt: str, reference: Source | None, parameters: Parameters) -> dict[str, Any]:
    fields = body_of(prompt, parameters)
    if reference is None:
        return {"body": fields}
    return {"form": {name: _written(value) for name, value in fields.items()}, "upload": Upload("input_reference", reference)}


def _written(value: Any) -> str:
    """As a form has it, which knows no types."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def body_of(prompt: str, parameters: Parameters) -> dict[str, Any]:
    """The body of a `POST /v1/videos`."""
    return {"prompt": prompt} | {name: value for name, value in parameters.items() if value is not None}


def get(job_id: str) -> Call[World]:
    return Call("GET", _of(VIDEOS, job_id), reads(World))


def listing(limit: int, after: str | None, order: Literal["asc", "desc"]) -> Call[Worlds]:
    params: dict[str, str | int] = {"limit": limit, "order": order} | ({"after": after} if after else {})
    return Call("GET", VIDEOS, reads(Worlds), params=params)


def dead(limit: int) -> Call[Worlds]:
    return Call("GET", "/v1/jobs/dead", reads(Worlds), params={"limit": limit})


def cancel(job_id: str) -> Call[World]:
    return Call("POST", _of(VIDEOS, job_id, "cancel"), reads(World))


def requeue(job_id: str) -> Call[World]:
    return Call("POST", _of(VIDEOS, job_id, "requeue"), reads(World))


def replay_webhook(job_id: str) -> Call[Receipt]:
    return Call("POST", _of(VIDEOS, job_id, "webhook:replay"), reads(Receipt), repeatable=False)


def delete(job_id: str) -> Call[Deleted]:
    return Call("DELETE", _of(VIDEOS, job_id), reads(Deleted), repeatable=False)


def models() -> Call[Models]:
    return Call("GET", "/v1/models", reads(Models))


def content(job_id: str, variant: str) -> Call[None]:
    return Call("GET", _of(VIDEOS, job_id, "content"), lambda _: None, params={"variant": variant})


def preview(job_id: str) -> Call[bytes]:
    return Call("GET", _of(VIDEOS, job_id, "content"), lambda answer: answer.content, params={"variant": "preview"})


def upload(source: Source, purpose: str, seconds: int | None) -> Call[File]:
    """A second copy would do no harm: it is forgotten as the first is."""
    expiry = {} if seconds is None else {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(seconds)}
    return Call("POST", FILES, reads(File), form={"purpose": purpose} | expiry, upload=Upload("file", source))


def create_batch(file_id: str) -> Call[Batch]:
    body = {"input_file_id": file_id, "endpoint": VIDEOS, "completion_window": "24h"}
    return Call("POST", BATCHES, reads(Batch), body=body, headers={KEY: f"batch-of-{file_id}"})


def get_batch(batch_id: str) -> Call[Batch]:
    return Call("GET", _of(BATCHES, batch_id), reads(Batch))


def batch_lines_of(batch_id: str, kind: Literal["output", "errors"]) -> Call[tuple[dict[str, Any], ...]]:
    return Call("GET", _of(BATCHES, batch_id, kind), _lines)


def _lines(answer: httpx.Response) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(line) for line in answer.content.splitlines() if line)


def cancel_batch(batch_id: str) -> Call[Batch]:
    return Call("POST", _of(BATCHES, batch_id, "cancel"), reads(Batch))


def batch_lines(requests: Iterable[tuple[str, Mapping[str, Any]]]) -> bytes:
    """OpenAI's JSONL of requests, each with the name that its result will have."""
    lines = ({"custom_id": name, "method": "POST", "url": VIDEOS, "body": dict(body)} for name, body in requests)
    return "".join(json.dumps(line) + "\n" for line in lines).encode()
