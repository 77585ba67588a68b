"""The seam to the artifact store: bytes under their own SHA-256, and memos that say which artifacts a task made."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Protocol

from orrery.worlds.plan import ArtifactRef

Outputs = Mapping[str, ArtifactRef]


class ArtifactStore(Protocol):
    async def put(self, data: bytes | memoryview, *, media_type: str = ...) -> ArtifactRef:
        """Stores `data`; a second time it costs one look-up. Visible at once and whole, or not at all."""
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

    async def recall(self, key: str) -> dict[str, ArtifactRef] | None:
        """What `remember` was told under `key`, provided every artifact of it is still there."""
        ...

    async def remember(self, key: str, outputs: Outputs) -> None: ...
