"""Refusals at the edge."""

from __future__ import annotations

from typing import Any

from orrery.worlds.errors import OrreryError


class Unauthenticated(OrreryError):
    """There is no key, or none that is known."""

    code = "unauthenticated"
    http_status = 401
    grpc_code = "UNAUTHENTICATED"


class Forbidden(OrreryError):
    """The key does not give this right."""

    code = "forbidden"
    http_status = 403
    grpc_code = "PERMISSION_DENIED"


class RequestTooSlow(OrreryError):
    """The client took too long to send what it announced."""

    code = "request_too_slow"
    http_status = 408
    grpc_code = "DEADLINE_EXCEEDED"


class HeadersTooLarge(OrreryError):
    """The head of the request, with its URL, is larger than is taken."""

    code = "headers_too_large"
    http_status = 431
    grpc_code = "RESOURCE_EXHAUSTED"


class TooManyRequests(OrreryError):
    """Too many requests in a short time. `retry_after` is in seconds."""

    code = "too_many_requests"
    http_status = 429
    grpc_code = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, retry_after: float = 1.0, **fields: Any):
        super().__init__(message, **fields)
        self.retry_after = retry_after


class QuotaExceeded(TooManyRequests):
    """What the key may use for now is used up."""

    code = "quota_exceeded"
