"""`input_reference`: a file, or one of the ways to write where its bytes are."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, Protocol

from starlette.datastructures import UploadFile

from orrery.worlds.errors import InvalidField, InvalidMedia
from orrery.worlds.synonyms import refuse_unknown

REFERENCE = "input_reference"
FILE = "a file, as multipart/form-data"
URL_KEYS = ("image_url", "video_url")
"""Under which a URL may stand in an object, as OpenAI and vLLM-Omni write it."""


class ReferenceKind(Protocol):
    """One way to write a reference."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """Examples of it, for those who wrote something else."""
        ...

    @property
    def keys(self) -> tuple[str, ...]:
        """Under which it may stand in an object."""
        ...

    def fits(self, written: str) -> bool:
        """Whether this is what was written, by its beginning; it may yet turn out to be a bad one."""
        ...

    def opened(self, written: str, tenant: str) -> AbstractAsyncContextManager[BinaryIO]:
        """The bytes, for as long as the context. Raises `InvalidField` or `InvalidMedia` of the field `input_reference`."""
        ...


@dataclass(frozen=True)
class DataUrls:
    """`data:image/png;base64,...`"""

    allowed: tuple[str, ...] = ('"data:image/png;base64,..."', '{"image_url": "data:image/png;base64,..."}')
    keys: tuple[str, ...] = URL_KEYS

    def fits(self, written: str) -> bool:
        return written.startswith("data:")

    @asynccontextmanager
    async def opened(self, written: str, tenant: str) -> AsyncIterator[BinaryIO]:  # noqa: ARG002  the bytes are nobody's
        yield BytesIO(_decode(written))


@dataclass(frozen=True)
class References:
    """The kinds that one gateway takes."""

    kinds: tuple[ReferenceKind, ...] = (DataUrls(),)

    @property
    def allowed(self) -> list[str]:
        return [FILE, *(example for kind in self.kinds for example in kind.allowed)]

    @asynccontextmanager
    async def opened(self, value: Any, tenant: str) -> AsyncIterator[BinaryIO | None]:
        """The bytes of an upload or of what was written; None of None. Raises `InvalidField`, `InvalidMedia`."""
        if value is None:
            yield None
        elif isinstance(value, UploadFile):
            yield value.file
        else:
            kind, written = self._kind(value)
            async with kind.opened(written, tenant) as file:
                yield file

    def _kind(self, value: Any) -> tuple[ReferenceKind, str]:
        kinds = self.kinds
        if isinstance(value, dict):
            refuse_unknown(value, sorted({key for kind in kinds for key in (*kind.keys, "file_id")}))
            if len(value) != 1:
                raise self._none_of_them()
            ((key, value),) = value.items()
            kinds = tuple(kind for kind in kinds if key in kind.keys)
        found = next((kind for kind in kinds if kind.fits(value)), None) if isinstance(value, str) else None
        if found is None:
            raise self._none_of_them()
        return found, value

    def _none_of_them(self) -> InvalidField:
        return InvalidField(f"{REFERENCE} is in no way that is taken here", field=REFERENCE, allowed=self.allowed)


def _decode(url: str) -> bytes:
    allowed = list(DataUrls().allowed)
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InvalidMedia(f"{REFERENCE} is a data URL without base64", field=REFERENCE, allowed=allowed)
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise InvalidMedia(f"{REFERENCE}: {error}", field=REFERENCE, allowed=allowed) from None
