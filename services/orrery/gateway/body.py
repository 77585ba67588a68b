"""Bodies of requests, JSON or multipart, read with an eye on their size."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from orrery.gateway.errors import MalformedBody, UnsupportedContentType
from orrery.gateway.objects import read_object
from orrery.gateway.references import REFERENCE
from orrery.gateway.settings import GatewaySettings
from orrery.worlds.errors import InvalidField, UploadTooLarge
from orrery.worlds.synonyms import spellings

JSON = "application/json"
FORM = "multipart/form-data"
MAX_FIELDS = 64
FILES = spellings(REFERENCE)
"""Parts of a form that may be files."""

REFERENCE_DEPTH = 4
"""Of the JSON in a part of a form."""

_INSIDE = re.compile(r"([a-z_]{1,40})\[([a-z_]{1,40})\]")


@dataclass(frozen=True)
class Body:
    """`values` as they came; those of a form are strings, files (open as long as the body), and objects of strings."""

    values: dict[str, Any]
    form: bool


def read_body(request: Request, settings: GatewaySettings) -> AbstractAsyncContextManager[Body]:
    """Reads by the content type. Raises `UnsupportedContentType`, `MalformedBody`, `UploadTooLarge`."""
    return READERS[_content_type(request, READERS)](request, settings)


def read_upload(request: Request, settings: GatewaySettings) -> AbstractAsyncContextManager[Body]:
    """A form whose `file` may have `max_file_bytes`. Raises as `read_body`."""
    _content_type(request, (FORM,))
    return _form(request, settings.max_file_bytes, files=("file",))


async def read_json(request: Request, settings: GatewaySettings) -> dict[str, Any]:
    """The values of a body that can only be JSON and takes no reference. Raises as `read_body`."""
    _content_type(request, (JSON,))
    return await _json_values(request, settings)


def _content_type(request: Request, accepted: Collection[str]) -> str:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in accepted:
        raise UnsupportedContentType(f"content type {content_type!r} is not accepted", allowed=sorted(accepted))
    return content_type


async def _json_values(request: Request, settings: GatewaySettings) -> dict[str, Any]:
    limit = min(settings.max_json_bytes, settings.max_upload_bytes)
    return read_object(b"".join([chunk async for chunk in _limited(request, limit)]), settings.max_json_depth)


@asynccontextmanager
async def _json_body(request: Request, settings: GatewaySettings) -> AsyncIterator[Body]:
    yield Body(await _json_values(request, settings), form=False)


def _form_body(request: Request, settings: GatewaySettings) -> AbstractAsyncContextManager[Body]:
    return _form(request, settings.max_upload_bytes, files=FILES)


@asynccontextmanager
async def _form(request: Request, limit: int, *, files: Collection[str]) -> AsyncIterator[Body]:
    """Files larger than a mebibyte wait on disk; they are gone when the context ends."""
    parser = _Parser(request.headers, _limited(request, limit), max_files=1, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MalformedBody(error.message) from error
    try:
        yield _form_values(form.multi_items(), files, complete=parser.complete)
    finally:
        parser.close()


def _form_values(items: list[tuple[str, str | UploadFile]], files: Collection[str], *, complete: bool) -> Body:
    if not complete:
        raise MalformedBody("the multipart body ends before its last boundary")
    values: dict[str, Any] = {}
    for name, value in items:
        if isinstance(value, UploadFile) and name not in files:
            raise InvalidField(f"{name} is not a file", field=name, allowed=f"a file only as {next(iter(files))}")
        _put(values, name, _object_in(name, value))
    return Body(values, form=True)


def _object_in(name: str, value: str | UploadFile) -> str | UploadFile | dict[str, Any]:
    """vLLM-Omni's clients write the object of a reference as JSON into one part of the form."""
    if isinstance(value, str) and name in FILES and value.startswith("{"):
        return read_object(value.encode(errors="replace"), REFERENCE_DEPTH)
    return value


def _put(values: dict[str, Any], name: str, value: str | UploadFile | dict[str, Any]) -> None:
    """`video[id]` is the `id` of the object `video`: so OpenAI's clients write objects into forms."""
    inside = _INSIDE.fullmatch(name)
    if inside is None:
        if name in values:
            raise InvalidField(f"{name} is given twice", field=name, allowed="one value")
        values[name] = value
        return
    target = values.setdefault(inside[1], {})
    if not isinstance(target, dict) or inside[2] in target:
        raise InvalidField(f"{inside[1]} is given twice", field=inside[1], allowed="one value")
    target[inside[2]] = value


class _Parser(MultiPartParser):
    """Starlette's, which takes a body that just stops for a whole one."""

    complete = False

    def on_end(self) -> None:
        self.complete = True

    def close(self) -> None:
        for file in self._files_to_close_on_error:
            file.close()


READERS: dict[str, Callable[[Request, GatewaySettings], AbstractAsyncContextManager[Body]]] = {
    JSON: _json_body,
    FORM: _form_body,
}


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body in chunks, refused as soon as it is known to be too large: by its announced length, or on the way."""
    announced = request.headers.get("content-length", "0")
    read = 0
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_large(limit)
    async for chunk in request.stream():
        read += len(chunk)
        if read > limit:
            raise _too_large(limit)
        yield chunk


def _too_large(limit: int) -> UploadTooLarge:
    return UploadTooLarge(f"the body has more than {limit} bytes", allowed=f"up to {limit} bytes")
