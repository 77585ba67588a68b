"""Images and clips made for the tests."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, Any]


def gradient(width: int, height: int, shade: int = 0) -> Pixels:
    """uint8 [H, W, 3]: red grows to the right, green downwards, blue is `shade`."""
    red = np.linspace(0, 255, width, dtype=np.uint8)[None, :].repeat(height, 0)
    green = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, 1)
    return np.stack([red, green, np.full((height, width), shade, np.uint8)], axis=-1)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    return encoded(Image.fromarray(gradient(width, height)).convert(mode), "PNG")


def jpeg(width: int, height: int, **options: Any) -> bytes:
    return encoded(Image.fromarray(gradient(width, height)), "JPEG", quality=95, **options)


def webp(width: int, height: int, **options: Any) -> bytes:
    return encoded(Image.fromarray(gradient(width, height)), "WEBP", lossless=True, **options)


def clip(frames: int, width: int = 64, height: int = 48, **options: str) -> bytes:
    """H.264 in MP4; frame k has the blue of `blue_of(k)`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"  # "faststart" reads again what it wrote
        _write_clip(path, frames, width, height, options)
        return path.read_bytes()


def _write_clip(path: Path, frames: int, width: int, height: int, options: dict[str, str]) -> None:
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream("libx264", rate=16, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.time_base = Fraction(1, 16)
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(gradient(width, height, blue_of(k)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def blue_of(k: int) -> int:
    return 20 * (k % 12)


def hundred_megapixels() -> bytes:
    return encoded(Image.new("1", (10_000, 10_000)), "PNG")
