"""A file that is not whole yet: where it goes on, and whether it is what it should be."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO

import httpx

from orrery.sdk.errors import CorruptDownload

PARTIAL = 206
_DIGEST = re.compile(r'"([0-9a-f]{64})"')


class Partial:
    """Written beside `path`, and moved there when it is whole; what is not whole when it is left is removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._etag: str | None = None
        self._size = 0
        self._whole: int | None = None
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> Partial:
        self._file: BinaryIO = self._part.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    @property
    def headers(self) -> dict[str, str]:
        """Asks for the rest of what was begun, if it is still the same; for the bytes themselves, since they are counted."""
        rest = {"Range": f"bytes={self._size}-", "If-Range": self._etag} if self._size and self._etag else {}
        return {"Accept-Encoding": "identity"} | rest

    def begin(self, answer: httpx.Response) -> None:
        """Goes on if the answer is the rest, and starts over if it is the whole."""
        self._etag = answer.headers.get("etag")
        length = answer.headers.get("content-length", "")
        if answer.status_code != PARTIAL:
            self._file.seek(0)
            self._file.truncate()
            self._size, self._sha256 = 0, hashlib.sha256()
        self._whole = self._size + int(length) if length.isdecimal() else None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing, so that a connection that breaks now breaks nothing."""
        return self._size == self._whole

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._sha256.update(chunk)
        self._size += len(chunk)

    def finish(self) -> int:
        """The size in bytes. Raises `CorruptDownload` if the bytes do not have the digest that the server named."""
        self._file.close()
        named = _DIGEST.fullmatch(self._etag or "")
        if named and named[1] != self._sha256.hexdigest():
            raise CorruptDownload(f"{self._part} does not have the digest {named[1]}")
        self._part.replace(self._path)
        return self._size
