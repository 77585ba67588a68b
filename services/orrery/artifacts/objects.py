"""The artifact store over `obstore`: a folder, memory, S3, GCS or Azure behind one class.

Layout: `sha256/<2 hex>/<digest>` holds bytes, `memo/<2 hex>/<key>.json` what a task made, `incoming/` uploads whose digest is
not known yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url
from pydantic import TypeAdapter

from orrery.artifacts.errors import storage_named
from orrery.artifacts.store import UNMETERED, Meter, Outputs, Stored
from orrery.worlds.errors import ArtifactCorrupt, ArtifactNotFound
from orrery.worlds.plan import ArtifactRef

OCTETS = "application/octet-stream"
_CHUNK_BYTES = 4 * 1024 * 1024
_INLINE_BYTES = 256 * 1024  # below this a digest is cheaper than a hop to a thread
REFRESH_SECONDS = 20 * 60
"""What is put again after so long is written again, so that a sweeper sees that it is wanted."""
MEMO_REFRESH_SECONDS = 3600
"""What is recalled after so long is noted as used."""
_LISTED_AT_ONCE = 1000
_OUTPUTS = TypeAdapter(dict[str, ArtifactRef])


def open_store(url: str, meter: Meter = UNMETERED) -> ObjectArtifacts:
    """`file:///folder`, `memory://`, or any URL that obstore knows (`s3://`, `gs://`, `az://`)."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return ObjectArtifacts(MemoryStore(), meter)
    if parts.scheme == "file":
        return ObjectArtifacts(LocalStore(Path(parts.path), mkdir=True), meter)
    return ObjectArtifacts(from_url(url), meter)


class ObjectArtifacts:
    """`ArtifactStore` over one obstore store."""

    def __init__(self, store: ObjectStore, meter: Meter = UNMETERED) -> None:
        self._store = store
        self._meter = meter

    async def put(self, data: bytes | memoryview, *, media_type: str = OCTETS) -> ArtifactRef:
        ref = ArtifactRef(digest=await _digest(data), size=len(data), media_type=media_type)
        with storage_named(self._meter):
            if not await self._is_fresh(ref):
                await obstore.put_async(self._store, _path(ref.digest), data)
                self._meter.written(ref.size)
        return ref

    async def put_stream(self, chunks: AsyncIterable[bytes], *, media_type: str = OCTETS) -> ArtifactRef:
        incoming = f"incoming/{uuid.uuid4().hex}"
        tally = _Tally()
        with storage_named(self._meter):
            try:
                await obstore.put_async(self._store, incoming, tally.over(chunks), chunk_size=_CHUNK_BYTES, use_multipart=True)
            except BaseException as error:
                await self._discard(incoming)
                raise tally.error or error from None
            ref = ArtifactRef(digest=tally.sha256.hexdigest(), size=tally.size, media_type=media_type)
            await obstore.rename_async(self._store, incoming, _path(ref.digest), overwrite=True)
            self._meter.written(ref.size)
        return ref

    async def get(self, ref: ArtifactRef) -> memoryview:
        data = await self._read(ref)
        if await _digest(data) != ref.digest:
            raise self._corrupt(ref)
        return data

    async def stream(self, ref: ArtifactRef) -> AsyncIterator[bytes]:
        found = await self._open(ref)
        sha256 = hashlib.sha256()
        held = b""  # one chunk is held back, so that the last one is only given when the digest is right
        async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
            if held:
                yield held
            held = bytes(chunk)
            self._meter.read(len(held))
            sha256.update(held)
        if sha256.hexdigest() != ref.digest:
            raise self._corrupt(ref)
        yield held

    async def part(self, ref: ArtifactRef, start: int, stop: int) -> AsyncIterator[bytes]:
        found = await self._open(ref, (start, stop))
        async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
            self._meter.read(len(chunk))
            yield bytes(chunk)

    async def recall(self, key: str) -> dict[str, ArtifactRef] | None:
        try:
            with storage_named(self._meter):
                found = await obstore.get_async(self._store, _memo_path(key))
                outputs = _OUTPUTS.validate_json(bytes(await found.bytes_async()))
        except FileNotFoundError:
            return None
        present = await asyncio.gather(*(self._has(ref) for ref in outputs.values()))
        if not all(present):
            return None
        if _age(found.meta) >= MEMO_REFRESH_SECONDS:
            await self.remember(key, outputs)
        return outputs

    async def remember(self, key: str, outputs: Outputs) -> None:
        with storage_named(self._meter):
            await obstore.put_async(self._store, _memo_path(key), _OUTPUTS.dump_json(dict(outputs)))

    async def stored(self) -> AsyncIterator[Stored]:
        async for meta in self._list("sha256"):
            yield Stored(meta["path"].rpartition("/")[2], meta["size"], meta["last_modified"].timestamp())

    async def memos(self) -> AsyncIterator[Stored]:
        async for meta in self._list("memo"):
            name = meta["path"].rpartition("/")[2]
            yield Stored(name.removesuffix(".json"), meta["size"], meta["last_modified"].timestamp())

    async def _list(self, prefix: str) -> AsyncIterator[obstore.ObjectMeta]:
        with storage_named(self._meter):
            async for batch in obstore.list(self._store, prefix=prefix, chunk_size=_LISTED_AT_ONCE):
                for meta in batch:
                    yield meta

    async def memo(self, key: str) -> dict[str, ArtifactRef] | None:
        try:
            with storage_named(self._meter):
                found = await obstore.get_async(self._store, _memo_path(key))
            return _OUTPUTS.validate_json(bytes(await found.bytes_async()))
        except FileNotFoundError:
            return None

    async def forget(self, key: str) -> None:
        await self._discard(_memo_path(key))

    async def delete(self, digest: str, *, older_than: float) -> bool:
        try:
            with storage_named(self._meter):
                meta = await obstore.head_async(self._store, _path(digest))
        except FileNotFoundError:
            return False
        if _age(meta) < older_than:
            return False
        await self._discard(_path(digest))
        return True

    async def clear_incoming(self, *, older_than: float) -> int:
        left = [meta["path"] async for meta in self._list("incoming") if _age(meta) >= older_than]
        for path in left:
            await self._discard(path)
        return len(left)

    async def _has(self, ref: ArtifactRef) -> bool:
        return await self._head(ref) is not None

    async def _is_fresh(self, ref: ArtifactRef) -> bool:
        meta = await self._head(ref)
        return meta is not None and _age(meta) < REFRESH_SECONDS

    async def _head(self, ref: ArtifactRef) -> obstore.ObjectMeta | None:
        """None also for what was cut off."""
        try:
            meta = await obstore.head_async(self._store, _path(ref.digest))
        except FileNotFoundError:
            return None
        return meta if meta["size"] == ref.size else None

    async def _open(self, ref: ArtifactRef, part: tuple[int, int] | None = None) -> obstore.GetResult:
        try:
            with storage_named(self._meter):
                return await obstore.get_async(self._store, _path(ref.digest), options={"range": part} if part else None)
        except FileNotFoundError:
            raise ArtifactNotFound(f"there is no artifact {ref.digest}") from None

    async def _read(self, ref: ArtifactRef) -> memoryview:
        found = await self._open(ref)
        with storage_named(self._meter):
            data = memoryview(await found.bytes_async())
        self._meter.read(len(data))
        return data

    def _corrupt(self, ref: ArtifactRef) -> ArtifactCorrupt:
        self._meter.failed(ArtifactCorrupt.code)
        return ArtifactCorrupt(f"artifact {ref.digest} does not have its digest any more")

    async def _discard(self, path: str) -> None:
        try:
            with storage_named(self._meter):
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


def _age(meta: obstore.ObjectMeta) -> float:
    return time.time() - meta["last_modified"].timestamp()


def _path(digest: str) -> str:
    return f"sha256/{digest[:2]}/{digest}"


def _memo_path(key: str) -> str:
    return f"memo/{key[:2]}/{key}.json"
