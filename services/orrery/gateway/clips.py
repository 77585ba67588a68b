"""The last frames of a clip, or its first, in memory that does not grow with it."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from orrery.gateway.bounds import MediaBounds
from orrery.gateway.stills import FIELD, Frames, refuse_too_large
from orrery.worlds.errors import InvalidMedia


class Keep(StrEnum):
    """Which frames of a clip are kept."""

    FIRST = "first"
    LAST = "last"


def read_clip(file: BinaryIO, frames: int, bounds: MediaBounds, *, keep: Keep = Keep.LAST, container: str = "mp4") -> Frames:
    """uint8 [frames, H, W, RGB]: the last ones of a clip, or the first, upright. Raises `InvalidMedia`.

    `container` is FFmpeg's name of what the clip is: nothing is guessed.
    """
    if container == "mp4":
        _refuse_truncated(file)
    try:
        with av.open(file, mode="r", format=container, metadata_errors="replace") as opened:
            decoded = _decoded(opened, bounds)
            kept = deque(islice(decoded, frames) if keep is Keep.FIRST else decoded, maxlen=frames)
    except FFmpegError as error:
        raise _unreadable(str(error)) from error
    if len(kept) < frames:
        raise InvalidMedia(f"the clip has {len(kept)} frames", field=FIELD, allowed=f"a clip of at least {frames} frames")
    if len({(f.width, f.height) for f in kept}) > 1:
        raise _unreadable("its frames change their size")
    return np.stack([_upright(frame) for frame in kept])


def _decoded(container: InputContainer, bounds: MediaBounds) -> Iterator[VideoFrame]:
    if not container.streams.video:
        raise _unreadable("it has no video stream")
    _refuse_too_much(container, bounds)
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise _unreadable("its codec is unknown")
    _refuse_too_long(stream.frames, stream.width, stream.height, bounds)
    for count, frame in enumerate(_frames(container, stream), start=1):
        if frame.is_corrupt:
            raise _unreadable("a frame is damaged")
        _refuse_too_long(count, frame.width, frame.height, bounds)
        yield frame


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise _unreadable("it is truncated")
        yield from packet.decode()


def _refuse_too_much(container: InputContainer, bounds: MediaBounds) -> None:
    seconds = (container.duration or 0) / av.time_base
    if len(container.streams) > bounds.max_clip_streams or seconds > bounds.max_clip_seconds:
        allowed = f"up to {bounds.max_clip_streams} streams and {bounds.max_clip_seconds:g} seconds"
        message = f"the clip has {len(container.streams)} streams and says that it lasts {seconds:g} seconds"
        raise InvalidMedia(message, field=FIELD, allowed=allowed)


def _refuse_too_long(count: int, width: int, height: int, bounds: MediaBounds) -> None:
    refuse_too_large(width, height, bounds.max_image_pixels)
    if count > bounds.max_clip_frames or count * width * height > bounds.max_clip_pixels:
        allowed = f"up to {bounds.max_clip_frames} frames and {bounds.max_clip_pixels} pixels in all"
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
