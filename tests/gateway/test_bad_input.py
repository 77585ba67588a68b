"""Bad input: a typed 4xx that names the field and what is allowed, and nothing left behind."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from PIL import Image

from gateway.rig import Rig, rig_of
from gateway.samples import clip, encoded, gradient, hundred_megapixels, jpeg, png, webp

JSON = {"content-type": "application/json"}
REFERENCE = "input_reference"


async def refused(rig: Rig, answer: httpx.Response, code: str, field: str | None, status: int = 422) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("field")) == (status, code, field), answer.text
    assert await rig.left_behind() == []
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    return error


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"prompt": ""}, "1 to 299 words"),
        ({"prompt": "  \n "}, "1 to 299 words"),
        ({"prompt": "word " * 300}, "1 to 299 words"),
        ({"prompt": None}, "1 to 299 words"),
        ({"prompt": 7}, "1 to 299 words"),
        ({"prompt": "a" * 30_000}, "1 to 299 words"),
        ({"negative_prompt": "word " * 300}, "0 to 299 words"),
        ({"num_frames": 0}, "5 to 93 in steps of 4"),
        ({"num_frames": -5}, "5 to 93 in steps of 4"),
        ({"num_frames": 6}, "5 to 93 in steps of 4"),
        ({"num_frames": 10**9}, "5 to 93 in steps of 4"),
        ({"num_frames": 10**400}, "5 to 93 in steps of 4"),
        ({"num_frames": 17.5}, "5 to 93 in steps of 4"),
        ({"num_frames": "17"}, "5 to 93 in steps of 4"),
        ({"num_frames": True}, "5 to 93 in steps of 4"),
        ({"seconds": "0"}, "1 to 5"),
        ({"seconds": "four"}, "1 to 5"),
        ({"seconds": 10**400}, "1 to 5"),
        ({"fps": 15}, [16]),
        ({"size": "177x95"}, ["176x96", "96x96", "128x96", "96x128", "96x176"]),
        ({"resolution": "4320"}, ["96"]),
        ({"aspect_ratio": "2:1"}, ["16:9", "1:1", "3:4", "4:3", "9:16"]),
        ({"num_inference_steps": -1}, "1 to 100"),
        ({"num_inference_steps": 0}, "1 to 100"),
        ({"guidance_scale": -0.5}, "0 to 20"),
        ({"guidance_scale": "7"}, "0 to 20"),
        ({"seed": -1}, "0 to 4294967295"),
        ({"seed": 2**32}, "0 to 4294967295"),
        ({"sampler": "ddim"}, ["res_2ab", "euler"]),
        ({"numerics": "mine"}, ["official", "diffusers"]),
        ({"output_format": "gif"}, ["mp4", "mkv"]),
        ({"num_conditional_frames": 5}, [1]),
    ],
    ids=str,
)
async def test_fields_in_json(rig: Rig, fields: dict[str, Any], allowed: Any) -> None:
    error = await refused(rig, await rig.post(**fields), "invalid_field", next(iter(fields)))
    assert error["allowed"] == allowed


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_numbers_that_are_none(rig: Rig, number: str) -> None:
    body = f'{{"prompt": "a box", "guidance_scale": {number}}}'
    answer = await rig.client.post("/v1/videos", content=body, headers=JSON)
    assert (await refused(rig, answer, "invalid_field", "guidance_scale"))["allowed"] == "0 to 20"
    answer = await rig.client.post("/v1/videos", content=body.replace("guidance_scale", "seed"), headers=JSON)
    await refused(rig, answer, "invalid_field", "seed")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "1e9x"),
        ("seed", ""),
        ("seed", "１７"),
        ("num_frames", "17.0"),
        ("guidance_scale", "nan"),
        ("guidance_scale", "x"),
    ],
)
async def test_fields_in_a_form(rig: Rig, field: str, value: str) -> None:
    error = await refused(rig, await rig.upload(png(8, 8), **{field: value}), "invalid_field", field)
    assert error["allowed"]


async def test_unknown_fields_name_the_nearest_known_one(rig: Rig) -> None:
    error = await refused(rig, await rig.post(num_framez=17), "unknown_field", "num_framez")
    assert error["allowed"] == ["num_frames"]
    await refused(rig, await rig.upload(png(8, 8), zzz="1"), "unknown_field", "zzz")


async def test_unknown_models_name_the_served_ones(rig: Rig) -> None:
    error = await refused(rig, await rig.post(model="sora-2"), "unknown_model", "model", status=404)
    assert error["allowed"] == ["tiny-predict2"]
    await refused(rig, await rig.post(model=7), "invalid_field", "model")
    await refused(rig, await rig.post(model="predict2-2b"), "unknown_model", "model", status=404)


@pytest.mark.parametrize("prompt", ["a nude person", "ｎｕｄｅ", "n\u200bude", "nuԁe", "n.u.d.e"])
async def test_blocked_prompts_come_with_evidence(rig: Rig, prompt: str) -> None:
    error = await refused(rig, await rig.post(prompt=prompt), "prompt_blocked", "prompt")
    assert [match["term"] for match in error["evidence"]] == ["nude"]
    error = await refused(rig, await rig.post(negative_prompt=prompt), "prompt_blocked", "negative_prompt")
    (match,) = error["evidence"]
    assert prompt[match["start"] : match["end"]] == match["text"]


async def test_a_blocked_prompt_is_refused_before_its_upload_is_read(rig: Rig) -> None:
    await refused(rig, await rig.upload(b"no image", prompt="a nude person"), "prompt_blocked", "prompt")


HALF_CLIP = clip(9)[:-700]
STREAMABLE = clip(40, 320, 240, movflags="faststart")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "empty.png"),
        (b"", "empty.mp4"),
        (b"just some text, called a clip", "clip.mp4"),
        (b"<svg/>", "in.png"),
        (jpeg(640, 480)[:-2000], "in.jpg"),
        (jpeg(640, 480)[:100], "in.jpg"),
        (png(640, 480)[:-500], "in.png"),
        (png(640, 480)[:30], "in.png"),
        (webp(640, 480)[:-200], "in.webp"),
        (HALF_CLIP, "in.mp4"),
        (STREAMABLE[: len(STREAMABLE) // 2], "in.mp4"),
        (clip(9)[:24], "in.mp4"),
        (b"\x00\x00\x00\x20ftypisom" + b"\x00" * 100, "in.mp4"),
        (b"\x00\x00\x00\x18ftypavif" + b"\x00" * 100, "in.avif"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 100, "in.png"),
        (encoded(Image.fromarray(gradient(8, 8)), "GIF"), "in.gif"),
        (webp(8, 8, save_all=True, append_images=[Image.new("RGB", (8, 8))]), "in.webp"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)}-bytes",
)
async def test_uploads_that_are_no_image_and_no_clip(rig: Rig, data: bytes, name: str) -> None:
    error = await refused(rig, await rig.upload(data, name), "invalid_media", REFERENCE)
    assert error["allowed"]


async def test_a_hundred_megapixels_are_refused_by_their_header(rig: Rig) -> None:
    error = await refused(rig, await rig.upload(hundred_megapixels()), "invalid_media", REFERENCE)
    assert error["allowed"] == "up to 64000000 pixels per frame"


async def test_a_clip_must_have_the_frames_that_condition(rig: Rig) -> None:
    error = await refused(rig, await rig.upload(clip(3), num_conditional_frames="5"), "invalid_media", REFERENCE)
    assert error["allowed"] == "a clip of at least 5 frames"


async def test_an_image_gives_one_frame(rig: Rig) -> None:
    answer = await rig.upload(png(8, 8), num_conditional_frames="5")
    await refused(rig, answer, "invalid_field", "num_conditional_frames")


async def test_clips_are_bounded_in_frames_and_in_pixels() -> None:
    async with rig_of(max_clip_frames=8) as rig:
        await refused(rig, await rig.upload(clip(9)), "invalid_media", REFERENCE)
    async with rig_of(max_clip_pixels=64 * 48 * 8) as rig:
        await refused(rig, await rig.upload(clip(9)), "invalid_media", REFERENCE)


@pytest.mark.parametrize(
    "reference",
    ["https://example.com/a.png", {"file_id": "file_1"}, "file:///etc/passwd", 7, ["data:"], {"image_url": None}],
    ids=str,
)
async def test_references_that_are_not_taken_say_what_is(rig: Rig, reference: Any) -> None:
    error = await refused(rig, await rig.post(input_reference=reference), "invalid_field", REFERENCE)
    assert any("data:image/png" in way for way in error["allowed"])


@pytest.mark.parametrize("url", ["data:image/png,abc", "data:image/png;base64", "data:image/png;base64,%%%"])
async def test_data_urls_must_be_base64(rig: Rig, url: str) -> None:
    await refused(rig, await rig.post(input_reference=url), "invalid_media", REFERENCE)


PART = b'--b\r\nContent-Disposition: form-data; name="input_reference"; filename="a.png"\r\n\r\n'


async def test_uploads_are_limited_while_they_stream() -> None:
    async def endless(start: bytes) -> Any:
        yield start
        while True:
            yield b"x" * 65536

    async with rig_of(max_upload_bytes=1_000_000) as rig:
        await refused(rig, await rig.upload(b"x" * 2_000_000), "upload_too_large", None, status=413)
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await rig.client.post("/v1/videos", content=endless(PART), headers=headers)
        await refused(rig, answer, "upload_too_large", None, status=413)
        answer = await rig.client.post("/v1/videos", content=endless(b"["), headers=JSON)
        await refused(rig, answer, "upload_too_large", None, status=413)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b'{"seed": ' + b"9" * 5000 + b"}"], ids=len
)
async def test_bodies_that_are_no_json_object(rig: Rig, body: bytes) -> None:
    answer = await rig.client.post("/v1/videos", content=body, headers=JSON)
    await refused(rig, answer, "malformed_body", None, status=400)


async def test_bodies_that_are_no_form(rig: Rig) -> None:
    whole = b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na box\r\n--b--\r\n'
    form = {"content-type": "multipart/form-data; boundary=b"}
    assert (await rig.client.post("/v1/videos", content=whole, headers=form)).status_code == 202
    async with rig_of() as rig:
        for body, headers in [(whole[:-6], form), (b"nothing", form), (whole, {"content-type": "multipart/form-data"})]:
            answer = await rig.client.post("/v1/videos", content=body, headers=headers)
            await refused(rig, answer, "malformed_body", None, status=400)


async def test_a_form_gives_each_field_once(rig: Rig) -> None:
    files = [("prompt", (None, b"a box")), ("prompt", (None, b"a ball"))]
    await refused(rig, await rig.client.post("/v1/videos", files=files), "invalid_field", "prompt")
    as_file = {"prompt": ("prompt.txt", b"a box")}
    await refused(rig, await rig.client.post("/v1/videos", files=as_file), "invalid_field", "prompt")


async def test_other_content_types_are_refused(rig: Rig) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = await rig.client.post("/v1/videos", content=b"{}", headers={"content-type": content_type})
        error = await refused(rig, answer, "unsupported_content_type", None, status=415)
        assert error["allowed"] == ["application/json", "multipart/form-data"]


async def test_halves_of_surrogate_pairs_are_typed_errors(rig: Rig) -> None:
    async def post(**fields: Any) -> httpx.Response:
        return await rig.client.post("/v1/videos", content=json.dumps({"prompt": "a box"} | fields), headers=JSON)

    await refused(rig, await post(prompt="\ud800"), "invalid_field", "prompt")
    await refused(rig, await post(**{"\ud800": 1}), "unknown_field", "\ud800")
    await refused(rig, await post(model="\ud800"), "unknown_model", "model", status=404)
    await refused(rig, await post(input_reference="data:image/png;base64,AAAA\ud800"), "invalid_media", REFERENCE)
