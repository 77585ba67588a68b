"""Frames to the files that a client gets. Knows nothing of torch."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orrery.stages.movies import MKV, MP4, film
from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.catalog.models import OutputFormat
from orrery.worlds.contracts import PUBLISHER, StageContract
from orrery.worlds.errors import InvalidField

THUMBNAIL_SIDE = 160
Frames = NDArray[np.uint8]


class Publisher:
    contract: ClassVar[StageContract] = PUBLISHER

    def __init__(self, settings: StageSettings):
        """Settings say nothing that publishing depends on."""

    def run(self, values: Values, call: Call) -> Values:
        """See the contract. The same frames give the same bytes."""
        frames: Frames = values["frames"]
        chosen = values["output_format"]
        if chosen not in ENCODERS:
            raise InvalidField(f"there is no output format {chosen!r}", field="output_format", allowed=sorted(ENCODERS))
        if len(frames) == 0:
            raise InvalidField("there is no frame to publish", field="frames", allowed="1 or more frames")
        media = ENCODERS[chosen](frames, values["fps"], call.check_cancelled)
        return {"media": np.frombuffer(media, np.uint8), "thumbnail": np.frombuffer(thumbnail(frames), np.uint8)}


def png(frames: Frames, fps: int, check_cancelled: Callable[[], None]) -> bytes:  # noqa: ARG001  one image has no rate
    """The one frame of an image."""
    if len(frames) != 1:
        raise InvalidField(f"{len(frames)} frames are no image", field="output_format", allowed=["mp4", "mkv"])
    return _encoded(Image.fromarray(frames[0]), "PNG")


def thumbnail(frames: Frames) -> bytes:
    """The middle frame as a PNG of at most `THUMBNAIL_SIDE` pixels a side."""
    image = Image.fromarray(frames[len(frames) // 2])
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return _encoded(image, "PNG")


def _encoded(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format)
    return buffer.getvalue()


ENCODERS: dict[str, Callable[[Frames, int, Callable[[], None]], bytes]] = {
    OutputFormat.MP4.value: partial(film, MP4),
    OutputFormat.MKV.value: partial(film, MKV),
    OutputFormat.PNG.value: png,
}
