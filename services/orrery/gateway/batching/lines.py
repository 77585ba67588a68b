"""The lines of a batch's input: whose request each is, and which can never be one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from orrery.gateway.errors import MalformedBody
from orrery.gateway.objects import read_object
from orrery.jobs.batches.records import Problem
from orrery.worlds.errors import InvalidField, OrreryError
from orrery.worlds.plan import Frozen

METHOD = "POST"
FIELDS = {"custom_id", "method", "url", "body"}
MAX_CUSTOM_ID = 512
MAX_DEPTH = 33
"""Of a line: the body is one level inside of it."""

PAGE_LINES = 100
PAGE_BYTES = 4 * 2**20

Text = tuple[int, bytes]
"""A line's number, from 1, and what stands in it."""


class Entry(Frozen):
    """A request, as it is kept. `number` counts requests from 1: empty lines are none. Without a body it is refused already."""

    number: int
    custom_id: str
    body: dict[str, Any] | None


@dataclass(frozen=True)
class Refused:
    """A request that is none of its endpoint's; its client is told under its `custom_id`."""

    entry: Entry
    error: OrreryError


class BadLine(Exception):
    """A line that no answer could name, so that the whole input is refused."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


async def pages_of(chunks: AsyncIterator[bytes], max_line_bytes: int) -> AsyncIterator[list[Text]]:
    """The lines that are not empty, about `PAGE_BYTES` and at most `PAGE_LINES` at a time. Raises `BadLine`."""
    page: list[Text] = []
    size = 0
    async for number, text in _lines(chunks, max_line_bytes):
        page.append((number, text))
        size += len(text)
        if len(page) == PAGE_LINES or size >= PAGE_BYTES:
            yield page
            page, size = [], 0
    if page:
        yield page


async def _lines(chunks: AsyncIterator[bytes], max_line_bytes: int) -> AsyncIterator[Text]:
    number, rest = 0, b""
    async for chunk in _ended(chunks):
        *whole, rest = (rest + chunk).split(b"\n")
        for text in whole:
            number += 1
            _refuse_too_long(number, text, max_line_bytes)
            if text.strip():
                yield number, text
        _refuse_too_long(number + 1, rest, max_line_bytes)


def _refuse_too_long(number: int, text: bytes, most: int) -> None:
    if len(text) > most:
        raise BadLine(Problem(code="line_too_long", message=f"This line has more than {most} bytes.", line=number))


async def _ended(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
    yield b"\n"


class Reader:
    """Reads one input, line by line.

    `check` gets the number of a request and its body, and raises what the endpoint would refuse it with.
    """

    def __init__(self, endpoint: str, check: Callable[[int, dict[str, Any]], None]) -> None:
        self._endpoint = endpoint
        self._check = check
        self._seen: set[str] = set()

    @property
    def count(self) -> int:
        """Requests so far."""
        return len(self._seen)

    def read(self, text: Text) -> Entry | Refused:
        """Raises `BadLine`."""
        values = _object(text)
        custom_id = self._custom_id(values, text[0])
        self._seen.add(custom_id)
        try:
            body = self._body(values)
            self._check(self.count, body)
        except OrreryError as error:
            return Refused(Entry(number=self.count, custom_id=custom_id, body=None), error)
        return Entry(number=self.count, custom_id=custom_id, body=body)

    def _custom_id(self, values: dict[str, Any], line: int) -> str:
        custom_id = values.get("custom_id")
        if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID or not _is_text(custom_id):
            message = f"custom_id must be a text of 1 to {MAX_CUSTOM_ID} characters."
            raise BadLine(Problem(code="invalid_custom_id", message=message, line=line, param="custom_id"))
        if custom_id in self._seen:
            message = f"The custom_id {custom_id!r} is that of an earlier line."
            raise BadLine(Problem(code="duplicate_custom_id", message=message, line=line, param="custom_id"))
        return custom_id

    def _body(self, values: dict[str, Any]) -> dict[str, Any]:
        if not _is_text(json.dumps(values, ensure_ascii=False)):
            raise InvalidField("the line contains half of a surrogate pair", field="body", allowed="Unicode text")
        unknown = sorted(values.keys() - FIELDS)
        if unknown:
            raise InvalidField(f"a line has no field {unknown[0]!r}", field=unknown[0], allowed=sorted(FIELDS))
        if values.get("method") != METHOD:
            raise InvalidField("method is not offered", field="method", allowed=[METHOD])
        if values.get("url") != self._endpoint:
            raise InvalidField("url is not the endpoint of the batch", field="url", allowed=[self._endpoint])
        body = values.get("body")
        if not isinstance(body, dict):
            raise InvalidField("body is no object", field="body", allowed="a JSON object")
        return body


def _object(text: Text) -> dict[str, Any]:
    number, line = text
    try:
        return read_object(line, MAX_DEPTH)
    except MalformedBody as error:
        message = f"This line is not a JSON object that is taken: {error.message}."
        raise BadLine(Problem(code="invalid_json_line", message=message, line=number)) from None


def _is_text(value: str) -> bool:
    """JSON can escape half of a surrogate pair, which nothing after it can encode."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
