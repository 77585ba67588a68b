"""What a decoder is told."""

from __future__ import annotations

from typing import Self

from orrery.gateway.bounds import MediaBounds
from orrery.gateway.clips import Keep
from orrery.gateway.settings import GatewaySettings
from orrery.worlds.catalog.models import Size
from orrery.worlds.plan import Frozen
from orrery.worlds.requests import WorldRequest

MEBIBYTE = 2**20


class Order(Frozen):
    """The last `frames` of the upload, or the first, for a world of `size`; what the decoder may use, in bytes and seconds.

    `media_type` is what a film made here is known to be; None has an upload told by its content.
    """

    frames: int
    keep: Keep
    media_type: str | None
    size: Size
    bounds: MediaBounds
    memory_bytes: int
    cpu_seconds: int
    seconds: float

    @classmethod
    def of(cls, request: WorldRequest, settings: GatewaySettings, keep: Keep, media_type: str | None) -> Self:
        return cls(
            frames=request.num_conditional_frames,
            keep=keep,
            media_type=media_type,
            size=request.size,
            bounds=MediaBounds.of(settings),
            memory_bytes=settings.decode_memory_bytes,
            cpu_seconds=settings.decode_cpu_seconds,
            seconds=settings.decode_seconds,
        )

    @property
    def result_bytes(self) -> int:
        """The most that the decoder may write."""
        return self.frames * self.bounds.max_image_pixels * 3 + MEBIBYTE
