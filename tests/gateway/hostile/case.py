"""What a hostile input is, and the HTTP that carries it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"
BOUNDARY = "orrery-boundary"


@dataclass(frozen=True)
class Sent:
    """Bytes on a connection, then `dripping` again and again. CANARY in them becomes the port that nobody may call."""

    data: bytes
    dripping: bytes = b""
    pause: float = 0.0


@dataclass(frozen=True)
class Case:
    """`result`: status and code of a typed error, or "closed" without an answer. `leaves`: a job is made, and meant to be.

    `settings` are the gateway's for this case, `host` is what public.test answers to those that fetch from it.
    """

    name: str
    how: str
    result: str
    make: Callable[[], Sent | bytes]
    leaves: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    host: bytes = b""

    def sent(self) -> Sent:
        made = self.make()
        return made if isinstance(made, Sent) else Sent(made)


def request(line: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    told = {"Host": "gateway", "Connection": "close"} | ({"Content-Length": str(len(body))} if body else {}) | (headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{line} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


def get(path: str, **headers: str) -> bytes:
    return request(f"GET {path}", headers)


def post_bytes(body: bytes, path: str = "/v1/videos", content_type: str = JSON, **headers: str) -> bytes:
    return request(f"POST {path}", {"Content-Type": content_type} | headers, body)


def post(path: str = "/v1/videos", **fields: Any) -> bytes:
    """A JSON body that is well but for `fields`."""
    return post_bytes(json.dumps({"prompt": "a robot arm stacks boxes"} | fields).encode(), path)


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    as_file = "" if filename is None else f'; filename="{filename}"'
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{as_file}\r\n\r\n'.encode() + value + b"\r\n"


def form(*parts: bytes, path: str = "/v1/videos", end: bytes = f"--{BOUNDARY}--\r\n".encode()) -> bytes:
    return post_bytes(b"".join(parts) + end, path, f"multipart/form-data; boundary={BOUNDARY}")


def upload(data: bytes, filename: str = "in.png", **fields: str) -> bytes:
    values = {"prompt": "a robot arm stacks boxes"} | fields
    return form(*(part(name, value.encode()) for name, value in values.items()), part("input_reference", data, filename))
