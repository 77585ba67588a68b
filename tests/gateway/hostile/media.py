"""Pictures and clips that are more, or other, than they seem."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO

import av
import numpy as np
from PIL import Image, PngImagePlugin

from gateway.hostile.case import Case, post, post_bytes, upload
from gateway.samples import clip, encoded, gradient, hundred_megapixels, jpeg, png, webp

MEDIA = "422 invalid_media"
SMALL = {"decode_memory_bytes": 2**29}


def picture(name: str, how: str, data: bytes | Callable[[], bytes], result: str = MEDIA, **settings: object) -> Case:
    """What takes long to make is made when it is needed."""

    def make() -> bytes:
        return upload(data if isinstance(data, bytes) else data())

    return Case(name, how, result, make, leaves=result == "202", settings=settings)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(*chunks: bytes, width: int = 8, height: int = 8) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(megabytes: int) -> bytes:
    """Packed, a thousandth of it."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()


def text_bomb() -> bytes:
    return png_of(chunk(b"zTXt", b"a\0\0" + zeros(200)), chunk(b"IDAT", zlib.compress(bytes(8 * 25))))


def profile_bomb() -> bytes:
    return png_of(chunk(b"iCCP", b"a\0\0" + zeros(200)), chunk(b"IDAT", zlib.compress(bytes(8 * 25))))


def data_bomb() -> bytes:
    """8x8 pixels, and a gigabyte of data for them."""
    return png_of(chunk(b"IDAT", zeros(1024)))


def many_chunks() -> bytes:
    return png_of(*([chunk(b"tEXt", b"a\0b")] * 100_000), chunk(b"IDAT", zlib.compress(bytes(8 * 25))))


def large_jpeg() -> bytes:
    """A head that says 65,500 by 65,500."""
    data = bytearray(jpeg(64, 48))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 65500, 65500)
    return bytes(data)


def animated_png() -> bytes:
    file = BytesIO()
    frames = [Image.new("RGB", (8, 8), (k, 0, 0)) for k in range(50)]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()


def with_text(data: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", data)
    return encoded(Image.fromarray(gradient(8, 8)), "PNG", pnginfo=info)


@cache
def film() -> bytes:
    return clip(9)


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


def changed(old: bytes, new: bytes, offset: int = 0) -> bytes:
    """The clip with bytes after the name of a box replaced."""
    data = bytearray(film())
    place = data.index(old) + len(old) + offset
    data[place : place + len(new)] = new
    return bytes(data)


def looping() -> bytes:
    """An edit list that shows the whole clip a thousand times. The table of boxes is the last one, so no place changes."""
    data = film()
    place = data.index(b"elst") - 4
    (size,) = struct.unpack_from(">I", data, place)
    duration, start, rate = struct.unpack_from(">IiI", data, place + 16)
    entry = struct.pack(">IiI", duration, start, rate)
    edits = box(b"elst", struct.pack(">II", 0, 1000) + entry * 1000)
    longer = bytearray(data[:place] + edits + data[place + size :])
    for name in (b"moov", b"trak", b"edts"):
        at = longer.index(name) - 4
        struct.pack_into(">I", longer, at, struct.unpack_from(">I", longer, at)[0] + len(edits) - size)
    return bytes(longer)


def nested() -> bytes:
    """20,000 boxes, each in the one before."""
    data = b""
    for _ in range(20_000):
        data = box(b"moov", data)[: 2**20]
    return film()[:32] + data


def without_end() -> bytes:
    """A box of no size, one of its own size only, and so on without progress."""
    return film()[:32] + struct.pack(">I", 1) + b"free" + struct.pack(">Q", 0) + film()[32:]


def many_samples() -> bytes:
    """A table that says there are 2^31 samples."""
    return changed(b"stsz", struct.pack(">II", 1, 0x7FFFFFFF), 4)


def many_streams() -> bytes:
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        streams = [container.add_stream("libx264", rate=16) for _ in range(9)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for stream in streams:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gradient(32, 32), format="rgb24")))
            container.mux(stream.encode(None))
    return file.getvalue()


def huge_frames() -> bytes:
    """The head of the track and of its pictures say 16,384 by 16,384."""
    return changed(b"avc1", struct.pack(">HH", 16384, 16384), 24)


def fuzzed(seed: int) -> bytes:
    """Every hundredth byte or so replaced, after the first box."""
    rng = np.random.RandomState(seed)
    data = bytearray(film())
    for place in rng.randint(32, len(data), len(data) // 100):
        data[place] = rng.randint(256)
    return bytes(data)


BOMBS = (
    picture("Bomb: 100 megapixels of one bit", "a PNG of 1.5 KB", hundred_megapixels),
    picture("Bomb: 2^31 by 2^31", "a PNG's head", png_of(width=2**31 - 1, height=2**31 - 1)),
    picture(
        "Bomb: 64 megapixels in 512 MB",
        "as many pixels as are taken, with little memory to decode them",
        lambda: png(8000, 8000),
        **SMALL,
    ),
    picture("Bomb: a packed text", "200 MB in a PNG's `zTXt`", text_bomb),
    picture("Bomb: a packed profile", "200 MB in a PNG's `iCCP`", profile_bomb),
    picture("Bomb: a gigabyte for 64 pixels", "a PNG whose data go on after its pixels", data_bomb, "202"),
    picture("Bomb: 100,000 chunks", "a PNG of texts", many_chunks, "202"),
    picture("Bomb: a large JPEG", "a head of 65,500 by 65,500", large_jpeg),
    picture(
        "Bomb: a large WebP",
        "16,383 by 16,383 of one colour",
        lambda: encoded(Image.new("RGB", (16383, 5000)), "WEBP", lossless=True, method=0),
    ),
    picture("Bomb: an animation", "a PNG of 50 frames", animated_png),
    picture("Bomb: a GIF", "which is not taken at all", encoded(Image.new("P", (8, 8)), "GIF")),
    picture("Bomb: a TIFF", "which is not taken at all", encoded(Image.new("RGB", (8, 8)), "TIFF")),
    picture(
        "Bomb: entities", "an SVG that doubles itself", b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>'
    ),
    picture("Bomb: too many frames", "a clip of 40 frames where 30 are taken", lambda: clip(40, 16, 16), max_clip_frames=30),
    picture("Bomb: too many pixels in all", "a clip", film(), max_clip_pixels=10_000),
    picture("Bomb: too long", "a clip of half a second where a tenth is taken", film(), max_clip_seconds=0.1),
    picture("Bomb: too many streams", "a clip of 9 films", many_streams),
    picture("Bomb: huge frames", "a clip whose head says 16,384 by 16,384; its pictures' own size counts", huge_frames, "202"),
    picture(
        "Bomb: too slow",
        "a clip of 600 frames for a decoder with 0.05 seconds",
        lambda: clip(600, 160, 128),
        decode_seconds=0.05,
    ),
)

POLYGLOTS = (
    picture(
        "Polyglot: PNG and ZIP",
        "an archive after the picture; only pixels are kept",
        png(8, 8) + b"PK\x03\x04" + bytes(99),
        "202",
    ),
    picture(
        "Polyglot: PNG and script",
        "`<script>` in a comment; only pixels are kept",
        with_text("<script>alert(1)</script>"),
        "202",
    ),
    picture(
        "Polyglot: JPEG and PHP", "`<?php` after the picture; only pixels are kept", jpeg(8, 8) + b"<?php system('id');", "202"
    ),
    picture("Polyglot: HTML that begins like a PNG", "the first 8 bytes are a PNG's", b"\x89PNG\r\n\x1a\n<html>"),
    picture("Polyglot: GIF and JavaScript", "`GIF89a=1;`", b"GIF89a=1;alert(1);"),
    picture("Polyglot: PDF", "which is none of the known", b"%PDF-1.7\n" + png(8, 8)),
    picture("Polyglot: AVIF called MP4", "a still image in MP4's container", b"\0\0\0\x18ftypavif" + bytes(100)),
    picture("Polyglot: MP4 that is a script", "`ftyp` and text", b"\0\0\0\x20ftypisom" + b"alert(1);" * 50),
    picture("Polyglot: WebP that is a WAV", "`RIFF....WEBP` and sound", b"RIFF\x24\0\0\0WEBPfmt " + bytes(99)),
    picture("Polyglot: program", "ELF", b"\x7fELF" + bytes(200)),
    Case(
        "Polyglot: data URL that lies",
        "`data:image/png` with a clip is read as the clip that it is",
        "202",
        lambda: data_url("image/png", film()),
        leaves=True,
    ),
    Case(
        "Polyglot: data URL without base64",
        "`data:image/svg+xml,<svg/>`",
        MEDIA,
        lambda: post(input_reference="data:image/svg+xml,<svg/>"),
    ),
    Case(
        "Polyglot: data URL of blanks",
        "`data:;base64,` and 1 MB of blanks",
        MEDIA,
        lambda: post(input_reference="data:;base64," + " " * 2**20),
    ),
)

FILMS = (
    picture("MP4: half of it", "the second half is missing", film()[: len(film()) // 2]),
    picture("MP4: the last byte", "is missing", film()[:-1]),
    picture("MP4: its first box", "alone", film()[:32]),
    picture("MP4: no pictures", "`mdat` is empty", film()[: film().index(b"mdat") - 4]),
    picture("MP4: a box without progress", "of size 0 in 64 bits", without_end),
    picture("MP4: boxes in boxes", "20,000 deep", nested),
    picture("MP4: looping", "an edit list that shows nine frames a thousand times", looping),
    picture("MP4: 2^31 samples", "in a table of nine", many_samples),
    picture("MP4: a time scale of zero", "`mdhd`", changed(b"mdhd", struct.pack(">I", 0), 12), "202"),
    picture("MP4: another codec's name", "`avc1` is `zzzz`", film().replace(b"avc1", b"zzzz")),
    *(picture(f"MP4: bytes changed at random, {seed}", f"1 of 100, seed {seed}", fuzzed(seed)) for seed in range(6)),
    picture("JPEG: half of it", "the second half is missing", jpeg(640, 480)[:-2000]),
    picture("PNG: half of it", "the second half is missing", png(640, 480)[:-500]),
    picture("WebP: half of it", "the second half is missing", webp(640, 480)[:-200]),
    picture("Nothing", "an upload of no bytes", b""),
)


def data_url(media_type: str, data: bytes) -> bytes:
    import base64

    text = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    return post_bytes(json.dumps({"prompt": "a box", "input_reference": text}).encode())


CASES = (*BOMBS, *POLYGLOTS, *FILMS)
