"""OpenAI's own package against the whole stack: what it downloads are real films."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from e2e.media import decode
from e2e.stack import Stack

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

FAST: dict[str, Any] = {"num_inference_steps": 3, "num_frames": 9}


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(api_key="none", base_url=f"{stack.client.base_url}/v1", http_client=http) as client:
        yield client


def download(client: openai.OpenAI, video_id: str, variant: Any = "video") -> bytes:
    return client.videos.download_content(video_id, variant=variant).content


def test_a_video_in_three_variants_and_what_comes_after_it(client: openai.OpenAI) -> None:
    video = client.videos.create_and_poll(prompt="a ball rolls over a table", size="96x96", seconds="1")  # type: ignore[arg-type]
    assert (video.status, video.seconds) == ("completed", "1.0625")
    frames, told = decode(download(client, video.id))
    assert (frames.shape, told) == ((17, 96, 96, 3), {"codec": "h264", "fps": 16.0})
    with Image.open(io.BytesIO(download(client, video.id, "thumbnail"))) as thumbnail:
        assert thumbnail.size == (96, 96)
    with Image.open(io.BytesIO(download(client, video.id, "spritesheet"))) as sheet:
        assert (sheet.format, sheet.size) == ("JPEG", (5 * 96, 4 * 96))
    longer = extended(client, video.id)
    assert longer.shape == (17 + 4, 96, 96, 3)
    assert np.array_equal(longer[:17], frames)


def extended(client: openai.OpenAI, video_id: str) -> np.ndarray[Any, Any]:
    """The film of an extension by nine frames, of which five are the old film's last."""
    source = {"video": {"id": video_id}}
    made = client.videos.extend(
        prompt="it goes on",
        seconds=openai.omit,  # type: ignore[arg-type]
        video=openai.omit,  # type: ignore[arg-type]
        extra_body=source | FAST,
    )
    done = client.videos.poll(made.id)
    assert (done.status, done.seconds) == ("completed", f"{21 / 16:g}"), done.error
    return decode(download(client, made.id))[0]


def test_an_extension_can_be_extended(client: openai.OpenAI) -> None:
    video = client.videos.create(prompt="a ball", size="96x96", extra_body=FAST | {"output_format": "mkv"})  # type: ignore[arg-type]
    client.videos.poll(video.id)
    films = [decode(download(client, video.id))[0]]
    for _ in range(2):
        source = {"video": {"id": video.id}} | FAST
        video = client.videos.extend(prompt="on", seconds=openai.omit, video=openai.omit, extra_body=source)  # type: ignore[arg-type]
        assert client.videos.poll(video.id).status == "completed"
        films.append(decode(download(client, video.id))[0])
    assert [len(film) for film in films] == [9, 13, 17]
    assert np.array_equal(films[2][:13], films[1])
    assert np.array_equal(films[1][:9], films[0])


def test_a_remix_and_an_edit_keep_what_they_say(client: openai.OpenAI) -> None:
    asked = FAST | {"seed": 5, "output_format": "mkv"}
    video = client.videos.create(prompt="a ball", size="96x96", extra_body=asked)  # type: ignore[arg-type]
    client.videos.poll(video.id)
    remix = client.videos.remix(video.id, prompt="a ball")
    edit = client.videos.edit(prompt="it falls", video=openai.omit, extra_body={"video": {"id": video.id}})  # type: ignore[arg-type]
    assert {client.videos.poll(one.id).status for one in (remix, edit)} == {"completed"}
    assert download(client, remix.id) == download(client, video.id)  # the same prompt and seed
    assert decode(download(client, edit.id))[0].shape == (9, 96, 96, 3)


def test_an_image_is_served_at_its_address(client: openai.OpenAI, stack: Stack) -> None:
    extra = {"num_inference_steps": 3}
    made = client.images.generate(prompt="a ball", response_format="url", size="96x96", extra_body=extra)  # type: ignore[call-overload]
    answer = stack.client.get(made.data[0].url)
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (96, 96)


def test_an_estimate_knows_what_was_learned(stack: Stack) -> None:
    stack.make(prompt="a ball", seed=77, **FAST)
    told = stack.client.post("/v1/videos:estimate", json={"prompt": "a ball", "seed": 78, **FAST}).json()
    assert told["device_seconds"] > 0
    assert told["eta_seconds"] > 0
    assert told["queue_position"] == 0
