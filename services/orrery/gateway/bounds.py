"""What an upload may be."""

from __future__ import annotations

from typing import Self

from orrery.gateway.settings import GatewaySettings
from orrery.worlds.plan import Frozen


class MediaBounds(Frozen):
    """`max_image_pixels` of an image or one frame of a clip, `max_clip_pixels` of all frames that are decoded."""

    max_image_pixels: int
    max_clip_frames: int
    max_clip_pixels: int
    max_clip_seconds: float
    max_clip_streams: int

    @classmethod
    def of(cls, settings: GatewaySettings) -> Self:
        return cls(**{name: getattr(settings, name) for name in cls.model_fields})
