"""OpenAI's own Python package, unmodified, against a gateway on a real Valkey."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.real import FILM, Real, real_gateway
from gateway.rig import SPRITESHEET, THUMBNAIL
from gateway.samples import clip, png
from valkeys import own_valkey

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

DATA_URL = "data:image/png;base64," + base64.b64encode(png(8, 8)).decode()


def as_part(reference: dict[str, str]) -> Any:
    """An object as one part of a form: the package lets through what looks like a file."""
    return None, json.dumps(reference).encode(), "application/json"


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with own_valkey() as url:
        yield url


@pytest.fixture
async def real(redis_url: str, tmp_path: Path) -> AsyncIterator[Real]:
    async with real_gateway(redis_url, tmp_path) as real:
        yield real


@pytest.fixture
async def client(real: Real) -> AsyncIterator[openai.AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(api_key="none", base_url=real.url, http_client=http, max_retries=0) as client:
        yield client


async def test_a_video_is_made_polled_and_downloaded_in_three_variants(client: openai.AsyncOpenAI) -> None:
    video = await client.videos.create_and_poll(prompt="a ball rolls", size="176x96", seconds="1")  # type: ignore[arg-type]
    assert (video.status, video.progress, video.seconds, video.size) == ("completed", 100, "1.0625", "176x96")
    assert video.completed_at is not None
    assert video.error is None
    for variant, expected in {"video": FILM, "thumbnail": THUMBNAIL, "spritesheet": SPRITESHEET}.items():
        content = await client.videos.download_content(video.id, variant=variant)  # type: ignore[arg-type]
        assert content.content == expected
    assert (await client.videos.download_content(video.id)).content == FILM


async def test_parameters_of_cosmos_are_extras(client: openai.AsyncOpenAI) -> None:
    extra = {"num_inference_steps": 4, "guidance": 3.5, "seed": 9, "num_output_frames": 9}
    video = await client.videos.create(prompt="a ball rolls", extra_body=extra)
    shown = {name: getattr(video, name) for name in ("num_inference_steps", "guidance_scale", "seed", "num_frames")}
    assert shown == {"num_inference_steps": 4, "guidance_scale": 3.5, "seed": 9, "num_frames": 9}


@pytest.mark.parametrize(
    "reference", [("a.png", png(8, 8)), ("a.mp4", clip(5)), io.BytesIO(png(8, 8))], ids=["image", "clip", "open-file"]
)
async def test_a_video_may_start_from_a_reference(client: openai.AsyncOpenAI, reference: object) -> None:
    video = await client.videos.create_and_poll(prompt="it moves", input_reference=reference)  # type: ignore[arg-type]
    assert (video.status, video.workflow) == ("completed", "video2world")  # type: ignore[attr-defined]


async def test_a_reference_may_be_written(client: openai.AsyncOpenAI) -> None:
    """As an extra: the package of this version takes no objects where it says that it does, see `as_part`."""
    file = await client.files.create(file=("a.png", png(8, 8)), purpose="vision")
    for reference in ({"file_id": file.id}, {"image_url": DATA_URL}):
        video = await client.videos.create(prompt="it moves", extra_body={"input_reference": reference})
        assert video.workflow == "video2world"  # type: ignore[attr-defined]
        video = await client.videos.create(prompt="it moves", input_reference=as_part(reference))
        assert video.workflow == "video2world"  # type: ignore[attr-defined]


async def test_videos_are_listed_page_by_page(client: openai.AsyncOpenAI) -> None:
    made = [(await client.videos.create(prompt=f"ball {k}")).id for k in range(5)]
    first = await client.videos.list(limit=2, order="asc")
    assert ([video.id for video in first.data], first.has_more) == (made[:2], True)
    assert [video.id async for video in client.videos.list(limit=2, order="asc")] == made
    assert [video.id async for video in client.videos.list(limit=2)] == made[::-1]
    assert [video.id for video in (await client.videos.list(after=made[1], order="asc")).data] == made[2:]
    assert (await client.videos.retrieve(made[3])).prompt == "ball 3"


async def test_a_video_is_remixed_extended_and_edited(client: openai.AsyncOpenAI) -> None:
    source = await client.videos.create(prompt="a ball rolls", extra_body={"seed": 4})
    await client.videos.poll(source.id)
    remix = await client.videos.remix(source.id, prompt="at night")
    assert (remix.remixed_from_video_id, remix.seed) == (source.id, 4)  # type: ignore[attr-defined]
    video = as_part({"id": source.id})
    extension = await client.videos.extend(prompt="it goes on", seconds="1", video=video)  # type: ignore[arg-type]
    assert float(extension.seconds) == (17 + 12) / 16
    edit = await client.videos.edit(prompt="it falls", video=openai.omit, extra_body={"video": {"id": source.id}})  # type: ignore[arg-type]
    assert edit.remixed_from_video_id == source.id
    for derived in (remix, extension, edit):
        assert (await client.videos.poll(derived.id)).status == "completed"


async def test_clips_are_extended_and_edited(client: openai.AsyncOpenAI) -> None:
    extension = await client.videos.extend(prompt="it goes on", seconds="1", video=("a.mp4", clip(9)))  # type: ignore[arg-type]
    edit = await client.videos.edit(prompt="it falls", video=("a.mp4", clip(9)))
    assert {(await client.videos.poll(one.id)).status for one in (extension, edit)} == {"completed"}


async def test_a_deleted_video_is_gone(client: openai.AsyncOpenAI) -> None:
    video = await client.videos.create(prompt="a ball rolls")
    deleted = await client.videos.delete(video.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
    with pytest.raises(openai.NotFoundError) as caught:
        await client.videos.retrieve(video.id)
    assert caught.value.code == "job_not_found"


async def test_images_come_inline_and_as_addresses(client: openai.AsyncOpenAI, real: Real) -> None:
    inline = await client.images.generate(prompt="a gripper", n=2, size="96x96")  # type: ignore[call-overload]
    assert [base64.b64decode(image.b64_json) for image in inline.data] == [FILM, FILM]
    linked = await client.images.generate(prompt="a gripper", response_format="url")
    assert linked.data is not None
    (image,) = linked.data
    assert image.url is not None
    assert image.url.startswith(real.url)
    assert (await real.http.get(image.url)).content == FILM


async def test_errors_are_those_of_the_package(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as unknown:
        await client.videos.create(prompt="x", extra_body={"guidance_scal": 3})
    assert unknown.value.code == "unknown_field"
    assert "guidance_scale" in str(unknown.value)
    with pytest.raises(openai.NotFoundError) as model:
        await client.videos.create(prompt="x", model="sora-2")
    assert model.value.code == "unknown_model"
    with pytest.raises(openai.UnprocessableEntityError) as blocked:
        await client.videos.create(prompt="a nude person")
    assert blocked.value.code == "prompt_blocked"
    video = await client.videos.create(prompt="x", extra_body={"priority": "batch"})
    with pytest.raises(openai.APIStatusError) as early:
        await client.videos.remix("video_" + "0" * 32, prompt="x")
    assert early.value.status_code == 404
    await client.videos.delete(video.id)


async def test_models_are_listed_and_read(client: openai.AsyncOpenAI) -> None:
    (model,) = (await client.models.list()).data
    assert (await client.models.retrieve(model.id)).schemas["text2world"]["required"] == ["prompt"]  # type: ignore[attr-defined]
