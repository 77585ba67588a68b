"""Errors as gRPC tells them: a status code, a message, and google.rpc details that say what HTTP's JSON says."""

from __future__ import annotations

import json
import math
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from orrery.gateway.edge.errors import TooManyRequests
from orrery.worlds.errors import OrreryError, QueueFull, StoreUnavailable

DOMAIN = "orrery"
MAX_CHARACTERS = 1000
"""Of a message or of what is allowed: all of a status travels in trailers, which clients refuse beyond 8 kB."""

STORE_RETRY_SECONDS = 5


def status_of(error: OrreryError) -> grpc.Status:
    """Never raises: every leaf of the tree names a gRPC code."""
    code = grpc.StatusCode[error.grpc_code]
    details = [_packed(detail) for detail in (_info(error), _field(error), _retry(error)) if detail is not None]
    return rpc_status.to_status(status_pb2.Status(code=code.value[0], message=_clipped(error.message), details=details))


def _info(error: OrreryError) -> Message:
    told = {"field": error.field, "allowed": _text(error.allowed), "evidence": _text(error.evidence)}
    metadata = {name: value for name, value in told.items() if value is not None}
    info: Message = error_details_pb2.ErrorInfo(reason=error.code.upper(), domain=DOMAIN, metadata=metadata)
    return info


def _field(error: OrreryError) -> Message | None:
    if error.field is None:
        return None
    violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=_clipped(error.message))
    bad: Message = error_details_pb2.BadRequest(field_violations=[violation])
    return bad


def _retry(error: OrreryError) -> Message | None:
    seconds = retry_seconds(error)
    retry: Message | None = None if seconds is None else error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds))
    return retry


def retry_seconds(error: OrreryError) -> int | None:
    """After how many whole seconds the same call may be taken; None if asking again changes nothing."""
    if isinstance(error, QueueFull | TooManyRequests):
        return max(1, math.ceil(error.retry_after))
    return STORE_RETRY_SECONDS if isinstance(error, StoreUnavailable) else None


def _text(value: Any) -> str | None:
    return None if value is None else _clipped(value if isinstance(value, str) else json.dumps(value))


def _clipped(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
