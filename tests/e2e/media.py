"""Small pictures and clips for tests, and the way back from files to frames."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

Frames = npt.NDArray[np.uint8]


def scene(num_frames: int, height: int, width: int, *, seed: int = 0) -> Frames:
    """[T, H, W, 3]: a gradient over which a bright square moves."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, rng.randint(255))], -1).astype(np.uint8)
    frames = np.repeat(base[None], num_frames, 0)
    for t in range(num_frames):
        frames[t, 10:30, 10 + 4 * t : 30 + 4 * t] = rng.randint(100, 255, 3)
    return frames


def png(frame: Frames) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "png")
    return buffer.getvalue()


def jpeg(frame: Frames) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "jpeg")
    return buffer.getvalue()


def mp4(frames: Frames, *, fps: int = 16) -> bytes:
    """H.264 as cameras write it: lossy."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def decode(data: bytes) -> tuple[Frames, dict[str, Any]]:
    """Every frame, and what the file says of itself."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        told = {"codec": stream.codec_context.name, "fps": float(stream.average_rate or 0)}
    return np.stack(frames), told
