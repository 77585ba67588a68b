"""What becomes of an upload."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from PIL import Image

from gateway.rig import Rig
from gateway.samples import Pixels, blue_of, clip, encoded, gradient, jpeg, png, webp

WIDE = gradient(64, 48)


async def frames_of(rig: Rig, data: bytes, **fields: str) -> Pixels:
    answer = await rig.upload(data, **fields)
    assert answer.status_code == 202, answer.text
    return await rig.conditioning(answer.json()["id"])


@pytest.mark.parametrize("data", [png(64, 48), webp(64, 48)], ids=["png", "webp"])
async def test_lossless_images_keep_their_pixels_and_their_size(rig: Rig, data: bytes) -> None:
    frames = await frames_of(rig, data)
    assert frames.dtype == np.uint8
    assert np.array_equal(frames, WIDE[None])


async def test_a_tall_image_is_whole(rig: Rig) -> None:
    assert np.array_equal(await frames_of(rig, png(31, 700)), gradient(31, 700)[None])


async def test_a_jpeg_is_close_to_what_it_shows(rig: Rig) -> None:
    frames = await frames_of(rig, jpeg(64, 48))
    assert frames.shape == (1, 48, 64, 3)
    assert np.abs(frames[0].astype(int) - WIDE).max() <= 24


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "1"])
async def test_every_mode_of_png_becomes_rgb(rig: Rig, mode: str) -> None:
    frames = await frames_of(rig, png(64, 48, mode))
    expected = np.asarray(Image.fromarray(WIDE).convert(mode).convert("RGBA").convert("RGB"))
    assert np.array_equal(frames[0], expected)


async def test_a_palette_with_transparency_is_read(rig: Rig) -> None:
    image = Image.fromarray(WIDE).convert("P")
    frames = await frames_of(rig, encoded(image, "PNG", transparency=bytes(range(256))))
    assert np.array_equal(frames[0], np.asarray(image.convert("RGB")))


async def test_a_cmyk_jpeg_is_read(rig: Rig) -> None:
    frames = await frames_of(rig, encoded(Image.fromarray(WIDE).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(frames[0].astype(int) - WIDE).mean() < 8


async def test_sixteen_bits_are_scaled_not_clipped(rig: Rig) -> None:
    grey = np.linspace(0, 65535, 64, dtype=np.uint16)[None, :].repeat(48, 0)
    frames = await frames_of(rig, encoded(Image.fromarray(grey), "PNG"))
    assert np.array_equal(frames[0, :, :, 0], grey >> 8)


async def test_an_image_is_turned_as_its_exif_says(rig: Rig) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # was taken with the camera turned: show it turned clockwise by a quarter
    frames = await frames_of(rig, jpeg(64, 48, exif=exif))
    assert frames.shape == (1, 64, 48, 3)
    assert np.abs(frames[0].astype(int) - np.rot90(WIDE, -1)).max() <= 24


@pytest.mark.parametrize("count", [1, 5])
async def test_the_last_frames_of_a_clip_are_kept(rig: Rig, count: int) -> None:
    frames = await frames_of(rig, clip(9), num_conditional_frames=str(count))
    assert frames.shape == (count, 48, 64, 3)
    blues = frames[..., 2].astype(int).mean(axis=(1, 2))
    assert np.allclose(blues, [blue_of(k) for k in range(9 - count, 9)], atol=3)


async def test_a_file_is_what_it_contains_not_what_it_is_called(rig: Rig) -> None:
    answer = await rig.upload(png(64, 48), name="clip.mp4")
    assert answer.json()["notes"]["input"]["kind"] == "image"


@pytest.mark.parametrize(
    ("width", "height", "resized_to", "cropped"),
    [(176, 96, None, False), (352, 192, "176x96", False), (64, 48, "176x96", True), (176, 100, "176x96", True)],
)
async def test_the_answer_says_what_is_done_to_the_input(
    rig: Rig, width: int, height: int, resized_to: str | None, cropped: bool
) -> None:
    answer = await rig.upload(png(width, height))
    said = {"kind": "image", "width": width, "height": height, "frames_used": 1}
    assert answer.json()["notes"] == {"input": said | {"resized_to": resized_to, "cropped": cropped}}


@pytest.mark.parametrize("wrap", [lambda url: url, lambda url: {"image_url": url}], ids=["string", "object"])
async def test_json_may_carry_a_data_url(rig: Rig, wrap: object) -> None:
    url = "data:image/png;base64," + base64.b64encode(png(64, 48)).decode()
    answer = await rig.post(input_reference=wrap(url))  # type: ignore[operator]
    assert answer.status_code == 202, answer.text
    assert answer.json()["workflow"] == "video2world"
    assert np.array_equal(await rig.conditioning(answer.json()["id"]), WIDE[None])


async def test_the_same_upload_is_stored_once(rig: Rig) -> None:
    first = await rig.upload(png(64, 48))
    second = await rig.upload(webp(64, 48), seed="7")
    digests = [(await rig.jobs.get(a.json()["id"])).request["conditioning"]["digest"] for a in (first, second)]
    assert digests[0] == digests[1]
