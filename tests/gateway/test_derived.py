"""Jobs made of other jobs: remixes, extensions and edits."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.rig import Rig, eventually
from gateway.samples import blue_of, clip
from orrery.stages.movies import MKV, film
from orrery.worlds.catalog import find
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.planner import plan
from orrery.worlds.requests import WorldRequest

FILM = clip(17, 176, 96)


async def made(rig: Rig, media: bytes = FILM, **fields: Any) -> dict[str, Any]:
    """A completed job."""
    job_id = (await rig.post(**fields)).json()["id"]
    await rig.work(job_id, media=media)
    return (await rig.client.get(f"/v1/videos/{job_id}")).json()


async def extend(rig: Rig, **fields: Any) -> httpx.Response:
    return await rig.client.post("/v1/videos/extensions", json={"prompt": "it goes on"} | fields)


def blues(frames: np.ndarray[Any, Any]) -> list[int]:
    """Which frames of `clip` these are."""
    means = frames[..., 2].reshape(len(frames), -1).mean(axis=1)
    return [min(range(12), key=lambda k: abs(blue_of(k) - mean)) for mean in means]


async def test_a_remix_is_the_same_request_under_another_prompt(rig: Rig) -> None:
    asked = {"seed": 7, "size": "96x96", "num_inference_steps": 4, "output_format": "mkv", "negative_prompt": "grey"}
    source = await made(rig, **asked)
    answer = await rig.client.post(f"/v1/videos/{source['id']}/remix", json={"prompt": "at night"})
    remix = answer.json()
    assert answer.status_code == 202, answer.text
    assert int(answer.headers["openai-poll-after-ms"]) > 0
    assert remix["remixed_from_video_id"] == source["id"] != remix["id"]
    assert (remix["prompt"], remix["status"], remix["workflow"]) == ("at night", "queued", "text2world")
    assert remix["parameters"] == source["parameters"]
    assert source["remixed_from_video_id"] is None


async def test_a_remix_may_change_how_the_world_is_made(rig: Rig) -> None:
    source = await made(rig, seed=7, num_frames=9)
    url = f"/v1/videos/{source['id']}/remix"
    body = {"prompt": "at night", "seed": 8, "steps": 3, "seconds": "2", "priority": "batch"}
    remix = (await rig.client.post(url, json=body)).json()
    assert (remix["seed"], remix["num_inference_steps"], remix["num_frames"], remix["priority"]) == (8, 3, 33, "batch")
    in_form = await rig.client.post(url, files={name: (None, str(value)) for name, value in body.items()})
    assert in_form.json()["parameters"] == remix["parameters"]


async def test_a_remix_of_an_upload_starts_from_the_same_frames(rig: Rig) -> None:
    answer = await rig.upload(clip(9), num_conditional_frames="5")
    await rig.work(answer.json()["id"])
    remix = await rig.client.post(f"/v1/videos/{answer.json()['id']}/remix", json={"prompt": "at night"})
    assert remix.json()["workflow"] == "video2world"
    assert remix.json()["notes"]["input"] == answer.json()["notes"]["input"]
    source, derived = [(await rig.jobs.get(one.json()["id"])).request["conditioning"] for one in (answer, remix)]
    assert source == derived


async def test_an_image_can_be_remixed(rig: Rig) -> None:
    asking = asyncio.create_task(rig.client.post("/v1/images/generations", json={"prompt": "a gripper"}))
    (job,) = await eventually(lambda: listed(rig))
    await rig.work(job)
    await asking
    remix = (await rig.client.post(f"/v1/videos/{job}/remix", json={"prompt": "a wheel"})).json()
    assert (remix["workflow"], remix["media_type"]) == ("text2image", "image/png")
    refused = await extend(rig, video={"id": job})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "video")


async def listed(rig: Rig) -> list[str]:
    return [job.id for job in (await rig.jobs.list(after=None, limit=100, order="asc")).jobs]


@pytest.mark.parametrize("written", ["object", "text"])
async def test_an_extension_goes_on_from_the_last_frames(rig: Rig, written: str) -> None:
    source = await made(rig, seed=3, num_frames=17)
    video = {"id": source["id"]} if written == "object" else source["id"]
    answer = await extend(rig, video=video, seconds="1")
    job = answer.json()
    assert answer.status_code == 202, answer.text
    assert (job["workflow"], job["num_frames"], job["size"], job["seed"]) == ("video2world", 17, "176x96", 3)
    assert job["parameters"]["num_conditional_frames"] == 5
    assert job["seconds"] == f"{(17 + 12) / 16:g}"  # of the whole film
    assert job["notes"]["source"] == {"video_id": source["id"], "relation": "extension", "frames": 17}
    assert job["remixed_from_video_id"] is None
    assert blues(await rig.conditioning(job["id"])) == [k % 12 for k in (12, 13, 14, 15, 16)]


async def test_an_extension_is_published_behind_its_source(rig: Rig) -> None:
    source = await made(rig)
    media = (await rig.jobs.get(source["id"])).result["media"]
    job = await rig.jobs.get((await extend(rig, video={"id": source["id"]})).json()["id"])
    publish = plan(WorldRequest.model_validate(job.request), find(job.model)).task("publish")
    assert ArtifactRef.model_validate(publish.inputs["prelude"].model_dump()) == media
    assert publish.parameters["overlap"] == 5
    assert media.digest in {digest async for digest in rig.jobs.live_artifacts()}
    await rig.client.delete(f"/v1/videos/{source['id']}")
    assert media.digest in {digest async for digest in rig.jobs.live_artifacts()}


async def test_an_extension_can_be_extended_and_remixed(rig: Rig) -> None:
    source = await made(rig, num_frames=17)
    first = (await extend(rig, video={"id": source["id"]}, num_frames=9)).json()
    await rig.work(first["id"], media=FILM)
    second = (await extend(rig, video={"id": first["id"]}, num_frames=9)).json()
    assert second["notes"]["source"]["frames"] == 17 + 4
    assert second["seconds"] == f"{(17 + 4 + 4) / 16:g}"
    remix = (await rig.client.post(f"/v1/videos/{first['id']}/remix", json={"prompt": "at night"})).json()
    assert (remix["seconds"], remix["remixed_from_video_id"]) == (first["seconds"], first["id"])
    requests = [(await rig.jobs.get(one["id"])).request for one in (first, remix)]
    assert requests[0]["prelude"] == requests[1]["prelude"]


async def test_a_lossless_film_can_be_extended(rig: Rig) -> None:
    frames = np.random.RandomState(0).randint(0, 256, (9, 96, 176, 3), np.uint8)
    source = await made(rig, media=film(MKV, frames, 16, lambda: None), output_format="mkv")
    job = (await extend(rig, video={"id": source["id"]})).json()
    assert np.array_equal(await rig.conditioning(job["id"]), frames[-5:])


async def test_an_edit_starts_from_the_first_frame(rig: Rig) -> None:
    source = await made(rig, seed=5)
    body = {"prompt": "it falls", "video": {"id": source["id"]}}
    job = (await rig.client.post("/v1/videos/edits", json=body)).json()
    assert (job["workflow"], job["seed"], job["remixed_from_video_id"]) == ("video2world", 5, source["id"])
    assert job["parameters"]["num_conditional_frames"] == 1
    assert blues(await rig.conditioning(job["id"])) == [0]
    assert job["seconds"] == source["seconds"]


@pytest.mark.parametrize(("path", "frame"), [("extensions", 8), ("edits", 0)])
@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
async def test_a_clip_of_the_clients_is_taken_too(rig: Rig, path: str, frame: int, form: bool) -> None:
    data = clip(9)
    url = f"/v1/videos/{path}"
    if form:
        answer = await rig.client.post(url, data={"prompt": "it goes on"}, files={"video": ("a.mp4", data)})
    else:
        written = "data:video/mp4;base64," + base64.b64encode(data).decode()
        answer = await rig.client.post(url, json={"prompt": "it goes on", "video": written})
    assert answer.status_code == 202, answer.text
    assert blues(await rig.conditioning(answer.json()["id"])) == [frame]
    assert "source" not in answer.json()["notes"]


async def test_forms_hold_the_object_of_a_video(rig: Rig) -> None:
    """So OpenAI's own client sends it."""
    source = await made(rig)
    form = {"prompt": (None, "it goes on"), "seconds": (None, "1"), "video[id]": (None, source["id"])}
    assert (await rig.client.post("/v1/videos/extensions", files=form)).status_code == 202


async def test_a_key_stands_for_a_derived_job(rig: Rig) -> None:
    source, other = await made(rig), await made(rig, seed=9)
    headers = {"Idempotency-Key": "k"}

    async def remix(job: dict[str, Any], prompt: str = "at night") -> httpx.Response:
        return await rig.client.post(f"/v1/videos/{job['id']}/remix", json={"prompt": prompt}, headers=headers)

    first, again = await remix(source), await remix(source)
    assert (first.json()["id"], again.headers["idempotent-replayed"]) == (again.json()["id"], "true")
    assert (await remix(other)).json()["error"]["code"] == "idempotency_conflict"
    assert (await remix(source, "by day")).json()["error"]["code"] == "idempotency_conflict"


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("{}/remix", {}, 422, "prompt"),
        ("{}/remix", {"prompt": ""}, 422, "prompt"),
        ("{}/remix", {"prompt": "a nude person"}, 422, "prompt"),
        ("{}/remix", {"prompt": "x", "size": "96x96"}, 422, "size"),
        ("{}/remix", {"prompt": "x", "steps": 0}, 422, "steps"),
        ("{}/remix", {"prompt": "x", "num_frames": 9, "seconds": "1"}, 422, "seconds"),
        ("video_" + "0" * 32 + "/remix", {"prompt": "x"}, 404, None),
        ("video_x/remix", {"prompt": "x"}, 404, None),
        ("extensions", {"prompt": "x"}, 422, "video"),
        ("extensions", {"prompt": "x", "video": {"id": 7}}, 422, "video"),
        ("extensions", {"prompt": "x", "video": {"id": "video_x"}}, 404, None),
        ("extensions", {"prompt": "x", "video": {"id": "video_x", "more": 1}}, 422, "more"),
        ("extensions", {"prompt": "x", "video": "file:///etc/passwd"}, 422, "video"),
        ("extensions", {"prompt": "x", "video": "data:video/mp4;base64,AAAA"}, 422, "video"),
        ("edits", {"prompt": "x", "video": {}}, 422, "video"),
        ("edits", {"prompt": "x", "video": "{}", "seconds": "99"}, 422, "seconds"),
    ],
    ids=str,
)
async def test_bad_requests_make_nothing(rig: Rig, path: str, body: dict[str, Any], status: int, field: str | None) -> None:
    source = await made(rig)
    before = await rig.left_behind()
    body = {name: source["id"] if value == "{}" else value for name, value in body.items()}
    answer = await rig.client.post("/v1/videos/" + path.format(source["id"]), json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error.get("field")) == (status, field), error
    assert await rig.left_behind() == before


async def test_only_what_is_completed_can_be_derived_from(rig: Rig) -> None:
    waiting = (await rig.post()).json()["id"]
    for answer in [
        await rig.client.post(f"/v1/videos/{waiting}/remix", json={"prompt": "x"}),
        await extend(rig, video={"id": waiting}),
        await rig.client.post("/v1/videos/edits", json={"prompt": "x", "video": {"id": waiting}}),
    ]:
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "job_not_finished")
