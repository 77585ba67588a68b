"""Files of clients: what one is entered with, how it comes in and goes out, and as a reference."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from starlette.datastructures import UploadFile

from orrery.artifacts import ArtifactStore
from orrery.gateway.context import Gateway
from orrery.gateway.fields import refuse_unknown
from orrery.gateway.references import REFERENCE
from orrery.gateway.sniffing import HEAD_BYTES, sniff
from orrery.jobs.files import Files, StoredFile
from orrery.worlds.errors import FileNotKnown, InvalidField
from orrery.worlds.plan import ArtifactRef

FIELDS = ("file", "purpose", "expires_after")
PURPOSES = ("batch", "vision", "user_data", "assistants", "fine-tune", "evals")
BATCH, BATCH_OUTPUT = "batch", "batch_output"
FILE_ID_PREFIX = "file-"
SHORTEST, LONGEST = 3600, 30 * 24 * 3600
MAX_NAME = 255
CHUNK_BYTES = 2**20
IN_MEMORY_BYTES = 2**20
UNKNOWN = "application/octet-stream"

_SECONDS = re.compile("[0-9]{1,9}")
_FILE_ID = re.compile(FILE_ID_PREFIX + "[0-9a-f]{32}")


def checked_file_id(file_id: str) -> str:
    """Raises `FileNotKnown` for what no file is called, before it becomes part of a key."""
    if not _FILE_ID.fullmatch(file_id):
        raise FileNotKnown(f"there is no file {file_id[:80]!r}")
    return file_id


async def keep_upload(gateway: Gateway, tenant: str, values: Mapping[str, Any]) -> StoredFile:
    """Stores the fields of a form. Raises `InvalidField`, `UnknownField`; of the store `StorageFull`, `StorageUnavailable`."""
    refuse_unknown(values, FIELDS)
    upload, purpose = values.get("file"), values.get("purpose")
    if not isinstance(upload, UploadFile):
        raise InvalidField("there is no file", field="file", allowed="a file, as multipart/form-data")
    if purpose not in PURPOSES:
        raise InvalidField("purpose is not offered", field="purpose", allowed=list(PURPOSES))
    seconds = read_expiry(values.get("expires_after"), field="expires_after", form=True)
    if seconds is None and purpose == BATCH:
        seconds = LONGEST
    head = await upload.read(HEAD_BYTES)
    await upload.seek(0)
    content = await gateway.artifacts.put_stream(_chunks(upload.file), media_type=sniff(head) or UNKNOWN)
    name = (upload.filename or "upload")[:MAX_NAME]
    return await enter(gateway.files, content, tenant=tenant, filename=name, purpose=purpose, seconds=seconds)


async def enter(
    files: Files,
    content: ArtifactRef,
    *,
    tenant: str,
    filename: str,
    purpose: str,
    seconds: float | None,
    file_id: str | None = None,
) -> StoredFile:
    """Enters what was stored; it goes after `seconds`, or never."""
    now = time.time()
    file = StoredFile(
        id=file_id or FILE_ID_PREFIX + uuid.uuid4().hex,
        tenant=tenant,
        filename=filename,
        purpose=purpose,
        content=content,
        created_at=now,
        expires_at=None if seconds is None else now + seconds,
    )
    await files.put(file)
    return file


def read_expiry(value: Any, *, field: str, form: bool) -> float | None:
    """Seconds after creation, from OpenAI's `{"anchor": "created_at", "seconds": ...}`. Raises `InvalidField`."""
    if value is None:
        return None
    allowed = f'{{"anchor": "created_at", "seconds": {SHORTEST} to {LONGEST}}}'
    if not isinstance(value, dict) or value.keys() != {"anchor", "seconds"} or value["anchor"] != "created_at":
        raise InvalidField(f"{field} is no policy", field=field, allowed=allowed)
    seconds = value["seconds"]
    if form and isinstance(seconds, str) and _SECONDS.fullmatch(seconds):
        seconds = int(seconds)
    if type(seconds) is not int or not SHORTEST <= seconds <= LONGEST:
        raise InvalidField(f"{field} is out of range", field=field, allowed=allowed)
    return float(seconds)


def file_view(file: StoredFile) -> dict[str, Any]:
    """OpenAI's `file` object."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.content.size,
        "created_at": int(file.created_at),
        "expires_at": None if file.expires_at is None else int(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield chunk


@dataclass(frozen=True)
class FileIds:
    """`file-...`: a kind of reference, to a file that was uploaded before."""

    files: Files
    artifacts: ArtifactStore
    allowed: tuple[str, ...] = ('{"file_id": "file-..."}',)
    keys: tuple[str, ...] = ("file_id",)

    def fits(self, written: str) -> bool:
        return written.startswith(FILE_ID_PREFIX)

    @asynccontextmanager
    async def opened(self, written: str, tenant: str) -> AsyncIterator[BinaryIO]:
        """The file's bytes; beyond a mebibyte they wait on disk."""
        try:
            file = await self.files.get(checked_file_id(written), tenant)
        except FileNotKnown as error:
            raise InvalidField(error.message, field=REFERENCE, allowed="the id of a file that is there") from None
        with SpooledTemporaryFile(IN_MEMORY_BYTES) as copy:
            async for chunk in self.artifacts.stream(file.content):
                await asyncio.to_thread(copy.write, chunk)
            copy.seek(0)
            yield cast(BinaryIO, copy)
