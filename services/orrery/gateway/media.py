"""Uploads to conditioning frames, and what will be done to them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, BinaryIO

from safetensors.numpy import save

from orrery.gateway.bounds import MediaBounds
from orrery.gateway.clips import Keep, read_clip
from orrery.gateway.sniffing import HEAD_BYTES, SIGNATURES, sniff
from orrery.gateway.stills import FIELD, Frames, read_still
from orrery.worlds.catalog.models import Size
from orrery.worlds.errors import InvalidField, InvalidMedia

MEDIA_TYPE = "application/x-safetensors"
TENSOR = "frames"
CLIPS = {"video/mp4": "mp4", "video/x-matroska": "matroska"}
"""FFmpeg's names of the containers. Of uploads only the first is sniffed; the second is made here."""


@dataclass(frozen=True)
class Conditioning:
    """`frames` uint8 [T, H, W, RGB] in the size they were uploaded in."""

    kind: str
    frames: Frames

    def to_bytes(self) -> bytes:
        """As safetensors, under the name that the video encoder's contract gives them."""
        return save({TENSOR: self.frames})

    def notes(self, size: Size) -> dict[str, Any]:
        """What becomes of the frames in a world of `size`: scaled to cover it, then cropped around the centre."""
        count, height, width, _ = self.frames.shape
        return {
            "kind": self.kind,
            "width": width,
            "height": height,
            "frames_used": count,
            "resized_to": None if (width, height) == (size.width, size.height) else str(size),
            "cropped": width * size.height != height * size.width,
        }


def read_conditioning(
    file: BinaryIO, frames: int, bounds: MediaBounds, keep: Keep = Keep.LAST, media_type: str | None = None
) -> Conditioning:
    """Reads an image or the last `frames` of a clip, or its first. What it is, if not given, is told by its content. Blocks.

    Raises `InvalidMedia`, `InvalidField`.
    """
    media_type = media_type or _media_type(file)
    if media_type in CLIPS:
        return Conditioning("video", read_clip(file, frames, bounds, keep=keep, container=CLIPS[media_type]))
    if frames != 1:
        message = f"an image cannot give {frames} frames"
        raise InvalidField(message, field="num_conditional_frames", allowed="1 for an image; more need a clip")
    return Conditioning("image", read_still(file, media_type, bounds.max_image_pixels))


def _media_type(file: BinaryIO) -> str:
    if file.seek(0, os.SEEK_END) == 0:
        raise InvalidMedia("the upload is empty", field=FIELD, allowed=sorted(SIGNATURES))
    file.seek(0)
    media_type = sniff(file.read(HEAD_BYTES))
    file.seek(0)
    if media_type is None:
        raise InvalidMedia("the upload is no known image or clip", field=FIELD, allowed=sorted(SIGNATURES))
    return media_type
