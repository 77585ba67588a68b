"""The seam to the artifact store: bytes under their own SHA-256, and memos that say which artifacts a task made."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from orrery.worlds.plan import ArtifactRef

Outputs = Mapping[str, ArtifactRef]


@dataclass(frozen=True)
class Stored:
    """Something in the store: its digest or key, its size in bytes, and when it was last written, in Unix seconds."""

    name: str
    size: int
    modified: float


class Meter(Protocol):
    """Is told what a store does. Sizes in bytes; `code` is that of the typed error."""

    def read(self, size: int) -> None: ...

    def written(self, size: int) -> None: ...

    def failed(self, code: str) -> None: ...


class Unmetered:
    """Nobody is told."""

    def read(self, size: int) -> None: ...

    def written(self, size: int) -> None: ...

    def failed(self, code: str) -> None: ...


UNMETERED = Unmetered()


class ArtifactStore(Protocol):
    async def put(self, data: bytes | memoryview, *, media_type: str = ...) -> ArtifactRef:
        """Stores `data`; soon after, a second time costs one look-up. Visible at once and whole, or not at all.

        Raises `StorageFull`, `StorageUnavailable`.
        """
        ...

    async def put_stream(self, chunks: AsyncIterable[bytes], *, media_type: str = ...) -> ArtifactRef:
        """Like `put`, in memory bounded by one chunk. Nothing is left behind when `chunks` raises."""
        ...

    async def get(self, ref: ArtifactRef) -> memoryview:
        """The bytes, digest checked. Raises `ArtifactNotFound`, `ArtifactCorrupt`."""
        ...

    def stream(self, ref: ArtifactRef) -> AsyncIterator[bytes]:
        """The bytes in chunks; raises `ArtifactCorrupt` in place of the last chunk if the digest is not the ref's."""
        ...

    def part(self, ref: ArtifactRef, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop`, in chunks. Of a part no digest can be checked. Raises `ArtifactNotFound`."""
        ...

    async def recall(self, key: str) -> dict[str, ArtifactRef] | None:
        """What `remember` was told under `key`, provided every artifact of it is still there."""
        ...

    async def remember(self, key: str, outputs: Outputs) -> None: ...


class SweptStore(Protocol):
    """What a sweeper needs."""

    def stored(self) -> AsyncIterator[Stored]:
        """Every artifact, by digest; `modified` is when it was last put."""
        ...

    def memos(self) -> AsyncIterator[Stored]:
        """Every memo, by key; `modified` is when it was made or, roughly, last of use."""
        ...

    async def memo(self, key: str) -> dict[str, ArtifactRef] | None:
        """What `remember` was told, whether or not the artifacts are still there."""
        ...

    async def forget(self, key: str) -> None:
        """Removes a memo, if it is there."""
        ...

    async def delete(self, digest: str, *, older_than: float) -> bool:
        """Removes an artifact unless it was put in the last `older_than` seconds; whether it did."""
        ...

    async def clear_incoming(self, *, older_than: float) -> int:
        """Removes uploads that were broken off so many seconds ago; how many there were."""
        ...
