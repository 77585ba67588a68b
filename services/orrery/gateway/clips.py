"""The last frames of a clip, in memory that does not grow with it."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from orrery.gateway.stills import FIELD, Frames, refuse_too_large
from orrery.worlds.errors import InvalidMedia


@dataclass(frozen=True)
class ClipLimits:
    """`max_pixels` of one frame, `max_total_pixels` of all that are decoded."""

    max_pixels: int
    max_frames: int
    max_total_pixels: int


def read_clip(file: BinaryIO, frames: int, limits: ClipLimits) -> Frames:
    """uint8 [frames, H, W, RGB]: the last ones of an MP4, upright. Raises `InvalidMedia`."""
    _refuse_truncated(file)
    try:
        with av.open(file, mode="r", format="mp4") as container:
            last = deque(_decoded(container, limits), maxlen=frames)
    except FFmpegError as error:
        raise _unreadable(str(error)) from error
    if len(last) < frames:
        raise InvalidMedia(f"the clip has {len(last)} frames", field=FIELD, allowed=f"a clip of at least {frames} frames")
    if len({(f.width, f.height) for f in last}) > 1:
        raise _unreadable("its frames change their size")
    return np.stack([_upright(frame) for frame in last])


def _decoded(container: InputContainer, limits: ClipLimits) -> Iterator[VideoFrame]:
    if not container.streams.video:
        raise _unreadable("it has no video stream")
    stream = container.streams.video[0]
    _refuse_too_long(stream.frames, stream.width, stream.height, limits)
    for count, frame in enumerate(_frames(container, stream), start=1):
        if frame.is_corrupt:
            raise _unreadable("a frame is damaged")
        _refuse_too_long(count, frame.width, frame.height, limits)
        yield frame


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise _unreadable("it is truncated")
        yield from packet.decode()


def _refuse_too_long(count: int, width: int, height: int, limits: ClipLimits) -> None:
    refuse_too_large(width, height, limits.max_pixels)
    if count > limits.max_frames or count * width * height > limits.max_total_pixels:
        allowed = f"up to {limits.max_frames} frames and {limits.max_total_pixels} pixels in all"
        raise InvalidMedia(f"the clip is too long at {width}x{height}", field=FIELD, allowed=allowed)


def _upright(frame: VideoFrame) -> Frames:
    """Phones store how they were held; `rotation` is counterclockwise, like `rot90`."""
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)


def _refuse_truncated(file: BinaryIO) -> None:
    """FFmpeg just stops where a file does; its boxes say how long it should be."""
    end = file.seek(0, os.SEEK_END)
    position = 0
    while position + 8 <= end:
        file.seek(position)
        size = _box_size(file)
        if size == 0:  # to the end of the file
            break
        position += size
    file.seek(0)
    if size and position > end:
        raise _unreadable("it is truncated")


def _box_size(file: BinaryIO) -> int:
    (size,) = struct.unpack(">I4x", file.read(8))
    if size == 1:
        (size,) = struct.unpack(">Q", file.read(8).ljust(8, b"\xff"))
    if size != 0 and size < 8:
        raise _unreadable("a box of it has no size")
    return int(size)


def _unreadable(why: str) -> InvalidMedia:
    return InvalidMedia(f"the clip cannot be read: {why}", field=FIELD, allowed="a whole video/mp4")
