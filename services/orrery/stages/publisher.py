"""Frames to the files that a client gets. Knows nothing of torch."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orrery.stages.movies import MKV, MP4, CheckCancelled, excerpt, film, spread
from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.catalog.models import OutputFormat
from orrery.worlds.contracts import PUBLISHER, StageContract
from orrery.worlds.errors import InvalidField

THUMBNAIL_SIDE = 160
TILES = 25
Frames = NDArray[np.uint8]
Bytes = NDArray[np.uint8]


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
        new = frames[values.get("overlap", 0) :]
        media = ENCODERS[chosen](new, values["fps"], call.check_cancelled, values.get("prelude"))
        shown = excerpt(media, TILES) if values.get("whole", False) else frames
        made = {"media": media, "thumbnail": thumbnail(shown), "spritesheet": spritesheet(shown)}
        return {name: np.frombuffer(data, np.uint8) for name, data in made.items()}


def png(frames: Frames, fps: int, check_cancelled: CheckCancelled, prelude: Bytes | None) -> bytes:  # noqa: ARG001
    """The one frame of an image, which has neither rate nor prelude."""
    if len(frames) != 1:
        raise InvalidField(f"{len(frames)} frames are no image", field="output_format", allowed=["mp4", "mkv"])
    return _encoded(Image.fromarray(frames[0]), "PNG")


def thumbnail(frames: Frames) -> bytes:
    """The middle frame as a PNG of at most `THUMBNAIL_SIDE` pixels a side."""
    image = Image.fromarray(frames[len(frames) // 2])
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return _encoded(image, "PNG")


def spritesheet(frames: Frames) -> bytes:
    """Up to `TILES` frames from first to last in rows, each at most `THUMBNAIL_SIDE` pixels a side, as a JPEG."""
    chosen = spread(len(frames), TILES)
    tiles = [Image.fromarray(frames[index]) for index in chosen]
    for tile in tiles:
        tile.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    columns = math.ceil(math.sqrt(len(tiles)))
    width, height = tiles[0].size
    sheet = Image.new("RGB", (columns * width, math.ceil(len(tiles) / columns) * height))
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % columns * width, index // columns * height))
    return _encoded(sheet, "JPEG", quality=85)


def _encoded(image: Image.Image, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


ENCODERS: dict[str, Callable[[Frames, int, CheckCancelled, Bytes | None], bytes]] = {
    OutputFormat.MP4.value: partial(film, MP4),
    OutputFormat.MKV.value: partial(film, MKV),
    OutputFormat.PNG.value: png,
}
