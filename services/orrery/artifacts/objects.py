"""The artifact store over `obstore`: a folder, memory, S3, GCS or Azure behind one class.

Layout: `sha256/<2 hex>/<digest>` holds bytes, `memo/<2 hex>/<key>.json` what a task made, `incoming/` uploads whose digest is
not known yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url
from pydantic import TypeAdapter

from orrery.artifacts.store import Outputs
from orrery.worlds.errors import ArtifactCorrupt, ArtifactNotFound
from orrery.worlds.plan import ArtifactRef

OCTETS = "application/octet-stream"
_CHUNK_BYTES = 4 * 1024 * 1024
_INLINE_BYTES = 256 * 1024  # below this a digest is cheaper than a hop to a thread
_OUTPUTS = TypeAdapter(dict[str, ArtifactRef])


def open_store(url: str) -> ObjectArtifacts:
    """`file:///folder`, `memory://`, or any URL that obstore knows (`s3://`, `gs://`, `az://`)."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return ObjectArtifacts(MemoryStore())
    if parts.scheme == "file":
        return ObjectArtifacts(LocalStore(Path(parts.path), mkdir=True))
    return ObjectArtifacts(from_url(url))


class ObjectArtifacts:
    """`ArtifactStore` over one obstore store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, data: bytes | memoryview, *, media_type: str = OCTETS) -> ArtifactRef:
        ref = ArtifactRef(digest=await _digest(data), size=len(data), media_type=media_type)
        if not await self._has(ref):
            await obstore.put_async(self._store, _path(ref.digest), data)
        return ref

    async def put_stream(self, chunks: AsyncIterable[bytes], *, media_type: str = OCTETS) -> ArtifactRef:
        incoming = f"incoming/{uuid.uuid4().hex}"
        tally = _Tally()
        try:
            await obstore.put_async(self._store, incoming, tally.over(chunks), chunk_size=_CHUNK_BYTES, use_multipart=True)
        except BaseException as error:
            await self._discard(incoming)
            raise tally.error or error from None
        ref = ArtifactRef(digest=tally.sha256.hexdigest(), size=tally.size, media_type=media_type)
        await obstore.rename_async(self._store, incoming, _path(ref.digest), overwrite=True)
        return ref

    async def get(self, ref: ArtifactRef) -> memoryview:
        data = await self._read(ref)
        if await _digest(data) != ref.digest:
            raise ArtifactCorrupt(f"artifact {ref.digest} does not have its digest any more")
        return data

    async def stream(self, ref: ArtifactRef) -> AsyncIterator[bytes]:
        found = await self._open(ref)
        sha256 = hashlib.sha256()
        held = b""  # one chunk is held back, so that the last one is only given when the digest is right
        async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
            if held:
                yield held
            held = bytes(chunk)
            sha256.update(held)
        if sha256.hexdigest() != ref.digest:
            raise ArtifactCorrupt(f"artifact {ref.digest} does not have its digest any more")
        yield held

    async def recall(self, key: str) -> dict[str, ArtifactRef] | None:
        try:
            found = await obstore.get_async(self._store, _memo_path(key))
            outputs = _OUTPUTS.validate_json(bytes(await found.bytes_async()))
        except FileNotFoundError:
            return None
        present = await asyncio.gather(*(self._has(ref) for ref in outputs.values()))
        return outputs if all(present) else None

    async def remember(self, key: str, outputs: Outputs) -> None:
        await obstore.put_async(self._store, _memo_path(key), _OUTPUTS.dump_json(dict(outputs)))

    async def _has(self, ref: ArtifactRef) -> bool:
        try:
            return (await obstore.head_async(self._store, _path(ref.digest)))["size"] == ref.size
        except FileNotFoundError:
            return False

    async def _open(self, ref: ArtifactRef) -> obstore.GetResult:
        try:
            return await obstore.get_async(self._store, _path(ref.digest))
        except FileNotFoundError:
            raise ArtifactNotFound(f"there is no artifact {ref.digest}") from None

    async def _read(self, ref: ArtifactRef) -> memoryview:
        found = await self._open(ref)
        return memoryview(await found.bytes_async())

    async def _discard(self, path: str) -> None:
        try:
            await obstore.delete_async(self._store, path)
        except FileNotFoundError:
            return


class _Tally:
    """Digests and counts a stream as it passes; keeps the stream's own error, which obstore would wrap."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.error: BaseException | None = None

    async def over(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                self.sha256.update(chunk)
                self.size += len(chunk)
                yield chunk
        except BaseException as error:
            self.error = error
            raise


async def _digest(data: bytes | memoryview) -> str:
    if len(data) < _INLINE_BYTES:
        return hashlib.sha256(data).hexdigest()
    return await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())


def _path(digest: str) -> str:
    return f"sha256/{digest[:2]}/{digest}"


def _memo_path(key: str) -> str:
    return f"memo/{key[:2]}/{key}.json"
