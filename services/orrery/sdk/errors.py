"""Errors that only a client has. All others are the server's own, from `orrery.worlds.errors`."""

from __future__ import annotations

import httpx

from orrery.sdk.results import World
from orrery.worlds.errors import OrreryError, QueueFull, from_dict, leaves


class Unreachable(OrreryError):
    """No gateway answers, or what answers is none."""

    code = "unreachable"
    http_status = 503
    grpc_code = "UNAVAILABLE"


class Refused(OrreryError):
    """An error of a kind that this version does not know. `sent_code` and `sent_status` are what the server said."""

    code = "refused"

    def __init__(self, message: str, *, sent_code: str, sent_status: int, field: str | None = None, allowed: object = None):
        super().__init__(message, field=field, allowed=allowed)
        self.sent_code = sent_code
        self.sent_status = sent_status


class JobFailed(OrreryError):
    """The job ended without a result; `reason` is why, as a typed error."""

    code = "job_failed"

    def __init__(self, world: World, reason: OrreryError):
        super().__init__(f"job {world.id} failed: {reason.message}", field=reason.field, allowed=reason.allowed)
        self.world = world
        self.reason = reason


class CorruptDownload(OrreryError):
    """What was downloaded does not have the digest that it should have."""

    code = "corrupt_download"


def error_of(answer: httpx.Response) -> OrreryError:
    """The typed error of an answer that is no success; its body must have been read."""
    try:
        body = answer.json()["error"]
        code, message = str(body["code"]), str(body["message"])
    except (ValueError, KeyError, TypeError):
        text = f"{answer.request.url} answered {answer.status_code}: {answer.text[:200]}"
        return Refused(text, sent_code="unknown", sent_status=answer.status_code)
    known = leaves().get(code)
    if known is None or known.__module__ == __name__:  # our own are nobody else's to raise
        allowed, field = body.get("allowed"), body.get("field")
        return Refused(message, sent_code=code, sent_status=answer.status_code, field=field, allowed=allowed)
    return _with_wait(from_dict(body), answer)


def _with_wait(error: OrreryError, answer: httpx.Response) -> OrreryError:
    seconds = answer.headers.get("retry-after", "")
    if isinstance(error, QueueFull) and seconds.isdecimal():
        error.retry_after = float(seconds)
    return error
