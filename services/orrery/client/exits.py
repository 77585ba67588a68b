"""With what status the command ends: scripts tell by it what happened."""

from __future__ import annotations

from enum import IntEnum

from orrery.worlds.errors import JobCancelled, OrreryError, PromptBlocked, QueueFull, StoreUnavailable


class Exit(IntEnum):
    """The table of the documents is this one; a test holds them equal."""

    OK = 0
    FAILURE = 1
    BAD_REQUEST = 2
    JOB_FAILED = 3
    CANCELLED = 4
    BLOCKED = 5
    QUEUE_FULL = 6
    UNREACHABLE = 7
    NOT_ALLOWED = 8
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done",
    Exit.FAILURE: "anything else",
    Exit.BAD_REQUEST: "the request or the command line is wrong, or names what is not there",
    Exit.JOB_FAILED: "the job was taken and failed",
    Exit.CANCELLED: "the job was cancelled by someone else",
    Exit.BLOCKED: "a guardrail refused the prompt",
    Exit.QUEUE_FULL: "too much waits, or the key's quota or rate is used up: try again later",
    Exit.UNREACHABLE: "no gateway answers, or it has lost its job store",
    Exit.NOT_ALLOWED: "the API key is missing, unknown, or not allowed to do this",
    Exit.INTERRUPTED: "Ctrl-C; the jobs that the command waited for are cancelled",
}

BY_KIND: tuple[tuple[type[OrreryError], Exit], ...] = (
    (PromptBlocked, Exit.BLOCKED),
    (QueueFull, Exit.QUEUE_FULL),
    (JobCancelled, Exit.CANCELLED),
    (StoreUnavailable, Exit.UNREACHABLE),
)
BY_STATUS = {401: Exit.NOT_ALLOWED, 403: Exit.NOT_ALLOWED, 429: Exit.QUEUE_FULL, 503: Exit.UNREACHABLE}


def exit_of(error: OrreryError) -> Exit:
    """Of an error that is not the SDK's it is told without the SDK: where only stages run there is no HTTP client."""
    if type(error).__module__.startswith("orrery.sdk."):
        return _of_sdk(error)
    return _of(error, error.http_status)


def _of_sdk(error: OrreryError) -> Exit:
    from orrery.sdk.errors import JobFailed, Refused, Unreachable

    if isinstance(error, JobFailed):
        return Exit.BLOCKED if isinstance(error.reason, PromptBlocked) else Exit.JOB_FAILED
    if isinstance(error, Unreachable):
        return Exit.UNREACHABLE
    return _of(error, error.sent_status if isinstance(error, Refused) else error.http_status)


def _of(error: OrreryError, status: int) -> Exit:
    kind = next((known for kind, known in BY_KIND if isinstance(error, kind)), None)
    if kind is not None:
        return kind
    return BY_STATUS.get(status, Exit.BAD_REQUEST if 400 <= status < 500 else Exit.FAILURE)
