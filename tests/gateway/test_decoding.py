"""Uploads are decoded apart: what a decoder may use, and what becomes of those that go beyond."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from safetensors.numpy import load

from gateway.rig import rig_of
from gateway.samples import clip, encoded, gradient, jpeg, png, webp
from orrery.gateway.bounds import MediaBounds
from orrery.gateway.clips import Keep
from orrery.gateway.decoding.apart import ZYGOTE, DecoderUnavailable, read_apart
from orrery.gateway.decoding.order import Order
from orrery.gateway.settings import GatewaySettings
from orrery.worlds.catalog.models import Size
from orrery.worlds.errors import InvalidField, InvalidMedia

SETTINGS = GatewaySettings(redis_url="redis://none", artifacts_url="memory://")
SIZE = Size(width=176, height=96)
ORDER = Order(
    frames=1,
    keep=Keep.LAST,
    media_type=None,
    size=SIZE,
    bounds=MediaBounds.of(SETTINGS),
    memory_bytes=SETTINGS.decode_memory_bytes,
    cpu_seconds=SETTINGS.decode_cpu_seconds,
    seconds=SETTINGS.decode_seconds,
)


def zygote() -> psutil.Process:
    assert ZYGOTE._process is not None
    return psutil.Process(ZYGOTE._process.pid)


def nobody_is_left(seconds: float = 5.0) -> bool:
    """Whether decoders end right after what they said."""
    until = time.monotonic() + seconds
    while zygote().children() and time.monotonic() < until:
        time.sleep(0.01)
    return not zygote().children()


def noise() -> bytes:
    """A picture that takes a processor more than a second."""
    pixels = np.random.RandomState(0).randint(0, 256, (6000, 6000, 3), np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", quality=95, progressive=True)


def test_frames_and_notes_come_back() -> None:
    data, notes = read_apart(BytesIO(png(64, 48)), ORDER)
    assert np.array_equal(load(data)["frames"], gradient(64, 48)[None])
    assert (notes["kind"], notes["width"], notes["resized_to"]) == ("image", 64, "176x96")


def test_what_a_decoder_refuses_it_says_itself() -> None:
    with pytest.raises(InvalidMedia, match="no known image"):
        read_apart(BytesIO(b"text"), ORDER)
    with pytest.raises(InvalidField) as caught:
        read_apart(BytesIO(png(8, 8)), ORDER.model_copy(update={"frames": 5}))
    assert caught.value.field == "num_conditional_frames"


@pytest.mark.parametrize("bound", [{"seconds": 0.05}, {"cpu_seconds": 1}, {"memory_bytes": 2**28 + 2**26}], ids=str)
def test_a_decoder_that_goes_beyond_is_ended_and_the_next_upload_is_read(bound: dict[str, float]) -> None:
    heavy = BytesIO(noise())
    assert read_apart(heavy, ORDER)[1]["width"] == 6000
    with pytest.raises(InvalidMedia, match=r"bounds|memory"):
        read_apart(heavy, ORDER.model_copy(update=bound))
    assert read_apart(BytesIO(png(8, 8)), ORDER)[1]["width"] == 8
    assert nobody_is_left()


def outcome(data: bytes) -> str:
    try:
        return str(read_apart(BytesIO(data), ORDER)[1])
    except InvalidMedia as error:
        return error.message


@pytest.mark.parametrize("seed", range(40))
def test_damaged_uploads_are_refused_by_the_decoders_themselves(seed: int) -> None:
    """Not by their end: what was found wrong is told."""
    rng = np.random.RandomState(seed)
    data = bytearray([clip(9), png(64, 48), jpeg(64, 48), webp(64, 48)][seed % 4])
    for place in rng.randint(12, len(data), len(data) // 100 + 1):
        data[place] = rng.randint(256)
    assert "within bounds" not in outcome(bytes(data))


@pytest.mark.parametrize("codec", [b"zzzz", b"\xff\xff\xff\xff"])
def test_a_clip_of_no_known_codec_is_refused(codec: bytes) -> None:
    with pytest.raises(InvalidMedia, match="cannot be read"):
        read_apart(BytesIO(clip(9).replace(b"avc1", codec)), ORDER)


def test_names_in_a_clip_need_not_be_text() -> None:
    named = clip(9).replace(b"VideoHandler", b"Video\xff\xfe\xfd\xfc\xfber")
    assert read_apart(BytesIO(named), ORDER)[1]["kind"] == "video"


def test_a_zygote_that_died_is_started_again() -> None:
    read_apart(BytesIO(png(8, 8)), ORDER)
    before = zygote()
    os.kill(before.pid, signal.SIGKILL)
    before.wait(10)
    for _ in range(2):
        assert read_apart(BytesIO(png(8, 8)), ORDER)[1]["width"] == 8
    assert zygote().pid != before.pid


def test_where_no_decoder_starts_the_upload_is_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    ZYGOTE.stop()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DecoderUnavailable):
        read_apart(BytesIO(png(8, 8)), ORDER)
    monkeypatch.undo()
    assert read_apart(BytesIO(png(8, 8)), ORDER)[1]["width"] == 8


def test_a_decoder_sees_nothing_of_its_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORRERY_REDIS_URL", "redis://user:secret@host")
    ZYGOTE.stop()
    read_apart(BytesIO(png(8, 8)), ORDER)
    assert b"secret" not in Path(f"/proc/{zygote().pid}/environ").read_bytes()
    assert zygote().cwd() == "/"
    handles = {os.readlink(handle) for handle in Path(f"/proc/{zygote().pid}/fd").iterdir()}
    assert not [one for one in handles if "memfd" in one]
    assert len([one for one in handles if one.startswith("socket:")]) == 1


def test_several_at_a_time_do_not_mix() -> None:
    def width(k: int) -> int:
        return int(read_apart(BytesIO(png(16 + k, 8)), ORDER)[1]["width"])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(width, range(24))) == [16 + k for k in range(24)]
    assert nobody_is_left()


async def test_bounds_are_the_operators() -> None:
    async with rig_of(max_clip_seconds=0.2) as rig:
        answer = await rig.upload(clip(9))
        assert answer.json()["error"]["allowed"] == "up to 8 streams and 0.2 seconds"
    async with rig_of(decode_seconds=0.01) as rig:
        answer = await rig.upload(clip(300, 160, 128))
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_media")
        assert await rig.left_behind() == []
