"""One image to one frame."""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ImageOps
from PIL.Image import Image, fromarray
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from orrery.worlds.errors import InvalidMedia

Frames = npt.NDArray[np.uint8]

FIELD = "input_reference"
READERS: dict[str, type[ImageFile]] = {
    "image/jpeg": JpegImageFile,
    "image/png": PngImageFile,
    "image/webp": WebPImageFile,
}
"""Opened as what they are: `Image.open` would guess again, and warn of sizes that are checked here."""

BAND_ROWS = 256

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
"""What Pillow raises about bytes that are not what they begin as."""


def read_still(file: BinaryIO, media_type: str, max_pixels: int) -> Frames:
    """uint8 [1, H, W, RGB], upright. Raises `InvalidMedia`; an image with too many pixels is refused before it is decoded."""
    try:
        with READERS[media_type](file) as image:
            refuse_too_large(image.width, image.height, max_pixels)
            if getattr(image, "is_animated", False):
                raise InvalidMedia("the image is animated", field=FIELD, allowed="a still image, or a clip as video/mp4")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _pixels(_rgb(image))[None]
    except UNREADABLE as error:
        raise InvalidMedia(f"the image cannot be read: {error}", field=FIELD, allowed=f"a whole {media_type}") from error


def _pixels(image: Image) -> Frames:
    """In bands: a large image at once would take three times its memory, and hold up every other request meanwhile."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, image.height)
        pixels[top:bottom] = image.crop((0, top, image.width, bottom))
    return pixels


def refuse_too_large(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InvalidMedia(f"{width}x{height} are too many pixels", field=FIELD, allowed=f"up to {max_pixels} pixels per frame")


def _rgb(image: Image) -> Image:
    """As the official scripts do, transparency is dropped. Sixteen bits are scaled, where Pillow would clip them."""
    if image.mode.startswith("I"):
        return _eight_bits(image).convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA")  # directly, a palette with transparent entries is only converted with a warning
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image) -> Image:
    return fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
