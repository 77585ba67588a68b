"""Parts and validators of a file over HTTP (RFC 9110): what of it is asked for, and whether the client has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers

from orrery.worlds.errors import OrreryError

_RANGE = re.compile(r"bytes=\s*([0-9]{0,20})\s*-\s*([0-9]{0,20})\s*", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True)
class Part:
    """The bytes from `start` up to, but not, `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


class RangeNotSatisfiable(OrreryError):
    """The part of a file that is asked for begins after its end."""

    code = "range_not_satisfiable"
    http_status = 416
    grpc_code = "OUT_OF_RANGE"

    def __init__(self, message: str, *, field: str | None = "Range", **fields: Any) -> None:
        super().__init__(message, field=field, **fields)


def asked_part(headers: Headers, size: int, etag: str) -> Part | None:
    """The one part that is asked for; None means the whole file. Raises `RangeNotSatisfiable`.

    Several ranges at once, units other than bytes and what is no range are passed over, as the standard allows. So is a range
    of another state of the file, by `If-Range`: a date there is of no state that is known.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or headers.get("if-range", etag).strip() != etag:
        return None
    first, last = found.groups()
    if first:
        return _from(int(first), int(last) + 1 if last else size, size)
    return _tail(int(last), size) if last else None


def _from(start: int, stop: int, size: int) -> Part | None:
    if stop <= start < size:
        return None
    if start >= size:
        raise _after_the_end(size)
    return Part(start, min(stop, size))


def _tail(length: int, size: int) -> Part:
    if length == 0 or size == 0:
        raise _after_the_end(size)
    return Part(max(0, size - length), size)


def _after_the_end(size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(f"the file has {size} bytes", allowed=f"bytes=0-{size - 1}")


def is_known(headers: Headers, etag: str) -> bool:
    """Whether the client has this state of the file, by `If-None-Match`."""
    given = headers.get("if-none-match", "").strip()
    return given == "*" or etag in _TAG.findall(given)
