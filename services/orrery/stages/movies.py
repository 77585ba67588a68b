"""Frames to films, byte for byte the same every time: no dates, no random identifiers, a fixed number of encoder threads."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from orrery.worlds.errors import InvalidField

Frames = NDArray[np.uint8]
CheckCancelled = Callable[[], None]

# How x264 and FFV1 cut up their work, and so the bytes, depends on the number of threads: the machine must not decide it.
ENCODER_THREADS = 4
H264_PARAMETER_SETS = (7, 8)


@dataclass(frozen=True)
class Recipe:
    """How a film is made. `bt709` converts from RGB to that colour space, limited range, and says so in the file.

    `unpacking` is FFmpeg's filter that gives a packet of the container the form in which it came from the encoder.
    """

    codec: str
    pixel_format: str
    suffix: str
    codec_options: dict[str, str]
    container_options: dict[str, str] = field(default_factory=dict)
    bt709: bool = False
    unpacking: str | None = None

    def open_stream(self, container: OutputContainer, size: tuple[int, int], fps: int) -> VideoStream:
        """`size` is height and width."""
        stream: VideoStream = container.add_stream(self.codec, rate=fps, options=self.codec_options)  # type: ignore[assignment]
        context = stream.codec_context
        context.height, context.width = size
        context.pix_fmt = self.pixel_format
        context.time_base = Fraction(1, fps)
        context.thread_count = ENCODER_THREADS
        context.flags |= Flags.bitexact
        if self.bt709:
            _tag_bt709(context)
        return stream

    def convert(self, pixels: NDArray[np.uint8]) -> VideoFrame:
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        if self.bt709:
            return frame.reformat(format=self.pixel_format, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        return frame.reformat(format=self.pixel_format)


# Macroblock-tree rate control looks ahead in a way that gives other bytes from one run to the next.
_X264 = {"crf": "18", "preset": "medium", "x264-params": "no-mbtree=1"}

MP4 = Recipe("libx264", "yuv420p", ".mp4", _X264, {"movflags": "+faststart"}, bt709=True, unpacking="h264_mp4toannexb")
"""H.264 at visually lossless quality, the index first so that a browser can start before the end."""

MKV = Recipe("ffv1", "bgr0", ".mkv", {"level": "3", "slices": "4", "slicecrc": "1", "g": "1"})
"""FFV1 in Matroska: every pixel comes back as it was."""


def film(
    recipe: Recipe, frames: Frames, fps: int, check_cancelled: CheckCancelled, prelude: NDArray[np.uint8] | None = None
) -> bytes:
    """The film of `frames` [T, H, W, RGB] at `fps` frames per second. Can be cancelled before each frame.

    `prelude` are the bytes of another film of this recipe, size and rate, which comes before the frames as it is. Raises
    `InvalidField` if it is of another.
    """
    # A named file, because moving the index to the front makes FFmpeg open its own output a second time.
    with tempfile.TemporaryDirectory(prefix="orrery-publisher-") as folder:
        path = Path(folder) / f"film{recipe.suffix}"
        with av.open(str(path), "w", options=recipe.container_options | {"fflags": "+bitexact"}) as container:
            stream = recipe.open_stream(container, (frames.shape[1], frames.shape[2]), fps)
            container.start_encoding()
            shown = 0 if prelude is None else _copy(prelude.tobytes(), recipe, container, stream)
            for index, pixels in enumerate(frames, start=shown):
                check_cancelled()
                frame = recipe.convert(pixels)
                frame.pts, frame.time_base = index, stream.codec_context.time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()


def excerpt(film: bytes, most: int) -> Frames:
    """Up to `most` frames [n, H, W, RGB] of a film, from first to last; no others are kept in memory."""
    with av.open(io.BytesIO(film), "r") as source:
        chosen = set(spread(sum(1 for packet in source.demux(video=0) if packet.size), most).tolist())
    with av.open(io.BytesIO(film), "r") as source:
        decoded = enumerate(source.decode(video=0))
        return np.stack([frame.to_ndarray(format="rgb24") for index, frame in decoded if index in chosen])


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Indices of up to `most` of `count` things, from first to last."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def _copy(film: bytes, recipe: Recipe, container: OutputContainer, stream: VideoStream) -> int:
    """Puts a whole film before what is encoded next, packet by packet; how many frames it has."""
    with av.open(io.BytesIO(film), "r") as source:
        (copied,) = source.streams.video
        if not _continues(copied.codec_context, stream.codec_context):
            allowed = f"a film of {recipe.codec}, {stream.width}x{stream.height}, made here"
            raise InvalidField("the prelude is a film of another kind", field="prelude", allowed=allowed)
        packets = [packet for packet in source.demux(copied) if packet.size]
        for packet in _as_encoded(packets, recipe, copied):
            packet.stream = stream
            container.mux(packet)
        return len(packets)


def _as_encoded(packets: list[Packet[VideoStream]], recipe: Recipe, stream: VideoStream) -> Iterable[Packet[VideoStream]]:
    """Packets in the form in which the encoder gives them, where the container changes it."""
    if recipe.unpacking is None:
        return packets
    change = BitStreamFilterContext(recipe.unpacking, in_stream=stream)
    return [changed for packet in (*packets, None) for changed in change.filter(packet)]


def _continues(old: VideoCodecContext, new: VideoCodecContext) -> bool:
    """Whether one decoder plays the two in a row: same size and same headers, however the container wraps them."""
    if (old.width, old.height) != (new.width, new.height) or old.codec.canonical_name != new.codec.canonical_name:
        return False
    wrapped = old.extradata or b""
    return all(header in wrapped for header in _headers(new))


def _headers(context: VideoCodecContext) -> list[bytes]:
    """The parameter sets of H.264, without the note about the encoder beside them; of another codec all there is."""
    data = context.extradata or b""
    units = re.split(rb"\x00?\x00\x00\x01", data)
    return [unit for unit in units if unit and unit[0] & 0x1F in H264_PARAMETER_SETS] if len(units) > 1 else [data]


def _tag_bt709(context: VideoCodecContext) -> None:
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
