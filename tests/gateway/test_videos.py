"""`/v1/videos` from the request to the file."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from gateway.rig import THUMBNAIL, TINY, VIDEO, Rig
from gateway.samples import clip, png
from orrery.worlds.catalog import CATALOG
from orrery.worlds.catalog.predict2 import NEGATIVE_PROMPT

PROMPT = "a robot arm stacks boxes"


async def test_a_prompt_becomes_a_text2world_job_with_every_default_settled(rig: Rig) -> None:
    answer = await rig.post()
    job = answer.json()
    assert answer.status_code == 202
    assert int(answer.headers["openai-poll-after-ms"]) > 0
    assert job["id"].startswith("video_")
    assert len(job["id"]) == len("video_") + 32
    expected = {
        "object": "video",
        "model": TINY,
        "status": "queued",
        "progress": 0,
        "completed_at": None,
        "expires_at": None,
        "size": "176x96",
        "seconds": "1.0625",
        "prompt": PROMPT,
        "error": None,
        "workflow": "text2world",
        "seed": 0,
        "num_frames": 17,
        "fps": 16,
        "num_inference_steps": 35,
        "guidance_scale": 7.0,
        "sampler": "res_2ab",
        "media_type": "video/mp4",
        "file_size": None,
    }
    assert {name: job[name] for name in expected} == expected
    assert isinstance(job["created_at"], int)
    assert job["parameters"]["negative_prompt"] == NEGATIVE_PROMPT
    assert job["timeline"][0]["id"] == "guard_prompt"


FIELDS: dict[str, Any] = {
    "negative_prompt": "blurry",
    "size": "128x96",
    "seconds": "2",
    "fps": 16,
    "num_inference_steps": 4,
    "guidance_scale": 1.5,
    "seed": 2**32 - 1,
    "sampler": "euler",
    "numerics": "diffusers",
    "output_format": "mkv",
    "model": TINY,
}


async def test_json_and_form_mean_the_same(rig: Rig) -> None:
    in_json = (await rig.post(**FIELDS)).json()
    form = {"prompt": PROMPT} | {name: str(value) for name, value in FIELDS.items()}
    in_form = (await rig.client.post("/v1/videos", files={k: (None, v) for k, v in form.items()})).json()
    assert in_json["parameters"] == in_form["parameters"]
    assert in_json["num_frames"] == 33
    assert in_json["seconds"] == "2.0625"
    assert in_json["media_type"] == "video/x-matroska"
    asked = {name: value for name, value in FIELDS.items() if name not in ("seconds", "model")}
    assert {name: in_json["parameters"][name] for name in asked} == asked


async def test_absent_and_null_mean_the_default(rig: Rig) -> None:
    plain, nulls = await rig.post(), await rig.post(seed=None, size=None, input_reference=None)
    assert plain.json()["parameters"] == nulls.json()["parameters"]


async def test_an_upload_makes_it_video2world(rig: Rig) -> None:
    job = (await rig.upload(clip(9), num_conditional_frames="5")).json()
    assert job["workflow"] == "video2world"
    assert job["notes"]["input"]["frames_used"] == 5
    (encode,) = [task for task in (await rig.jobs.get(job["id"])).tasks if task.stage == "video_encoder"]
    assert encode.state == "waiting"


async def test_a_job_is_shown_from_queue_to_file(rig: Rig) -> None:
    job_id = (await rig.post(num_inference_steps=2)).json()["id"]
    await rig.jobs.claim(["guardrail_text"], "w", wait=0)
    running = (await rig.client.get(f"/v1/videos/{job_id}")).json()
    assert (running["status"], running["stage"]) == ("in_progress", "guardrail_text")
    assert running["timeline"][0]["worker"] == "w"


async def test_content_is_the_published_file(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    url = f"/v1/videos/{job_id}/content"
    early = await rig.client.get(url)
    assert (early.status_code, early.json()["error"]["code"]) == (409, "job_not_finished")
    await rig.work(job_id)
    job = await rig.client.get(f"/v1/videos/{job_id}")
    assert "openai-poll-after-ms" not in job.headers
    done = job.json()
    assert (done["status"], done["progress"], done["file_size"]) == ("completed", 100, len(VIDEO))
    assert done["completed_at"] >= done["created_at"]
    assert {task["state"] for task in done["timeline"]} == {"done"}
    video = await rig.client.get(url)
    assert video.content == VIDEO
    assert video.headers["content-type"] == "video/mp4"
    assert video.headers["content-length"] == str(len(VIDEO))
    assert video.headers["etag"] == f'"{hashlib.sha256(VIDEO).hexdigest()}"'
    assert video.headers["content-disposition"] == f'attachment; filename="{job_id}.mp4"'
    again = await rig.client.get(url, headers={"If-None-Match": video.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_thumbnail_is_served_as_what_it_is(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    await rig.work(job_id)
    answer = await rig.client.get(f"/v1/videos/{job_id}/content", params={"variant": "thumbnail"})
    assert (answer.content, answer.headers["content-type"]) == (THUMBNAIL, "image/png")
    wrong = await rig.client.get(f"/v1/videos/{job_id}/content", params={"variant": "poster"})
    assert wrong.json()["error"]["allowed"] == ["preview", "spritesheet", "thumbnail", "video"]


async def test_content_that_is_gone_is_a_typed_404(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    await rig.work(job_id)
    for meta in rig.objects.list().collect():
        rig.objects.delete(meta["path"])
    answer = await rig.client.get(f"/v1/videos/{job_id}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "artifact_not_found")


async def test_a_failed_job_carries_its_error(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    error = {"code": "stage_failed", "message": "out of memory"}
    await rig.work(job_id, failing={"denoiser": error})
    job = (await rig.client.get(f"/v1/videos/{job_id}")).json()
    assert (job["status"], job["error"], job["completed_at"]) == ("failed", error, None)
    assert (await rig.client.get(f"/v1/videos/{job_id}/content")).status_code == 409


async def test_lists_are_paged_in_both_orders(rig: Rig) -> None:
    ids = [(await rig.post(seed=seed)).json()["id"] for seed in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await rig.client.get("/v1/videos", params={"limit": "2", "order": "asc"} | after)).json()
        seen += [job["id"] for job in page["data"]]
        assert (page["object"], page["first_id"], page["last_id"]) == ("list", page["data"][0]["id"], seen[-1])
        if not page["has_more"]:
            break
        after = {"after": seen[-1]}
    assert seen == ids
    newest = (await rig.client.get("/v1/videos", params={"limit": 5})).json()
    assert [job["id"] for job in newest["data"]] == ids[::-1]
    assert not newest["has_more"]


@pytest.mark.parametrize(("name", "value"), [("limit", "0"), ("limit", "101"), ("limit", "x"), ("order", "up")])
async def test_listing_checks_its_parameters(rig: Rig, name: str, value: str) -> None:
    answer = await rig.client.get("/v1/videos", params={name: value})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, name)


async def test_deleting_cancels_and_forgets(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    answer = await rig.client.delete(f"/v1/videos/{job_id}")
    assert answer.json() == {"id": job_id, "object": "video.deleted", "deleted": True}
    assert (await rig.client.get(f"/v1/videos/{job_id}")).status_code == 404
    assert await rig.left_behind() == []


@pytest.mark.parametrize("job_id", ["video_" + "0" * 32, "nothing", "video_*", "%00", "a" * 3000])
@pytest.mark.parametrize("path", ["/v1/videos/{}", "/v1/videos/{}/content", "/v1/videos/{}/events"])
async def test_jobs_that_are_not_there(rig: Rig, job_id: str, path: str) -> None:
    answer = await rig.client.get(path.format(job_id))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")


async def test_events_tell_the_whole_story_and_resume(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    await rig.work(job_id)
    answer = await rig.client.get(f"/v1/videos/{job_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [dict(line.split(": ", 1) for line in block.splitlines()) for block in answer.text.strip().split("\n\n")]
    kinds = [event["event"] for event in told]
    assert kinds[0] == "job.queued"
    assert kinds[-1] == "job.completed"
    assert "job.progress" in kinds
    assert json.loads(told[0]["data"])["job_id"] == job_id
    rest = await rig.client.get(f"/v1/videos/{job_id}/events", headers={"Last-Event-ID": told[-2]["id"]})
    assert rest.text.count("event: ") == 1
    wrong = await rig.client.get(f"/v1/videos/{job_id}/events", headers={"Last-Event-ID": "$"})
    assert wrong.json()["error"]["field"] == "Last-Event-ID"


async def test_models_tell_their_parameters(rig: Rig) -> None:
    models = (await rig.client.get("/v1/models")).json()
    assert models["object"] == "list"
    (model,) = models["data"]
    assert (model["id"], model["object"], model["default"]) == (TINY, "model", True)
    assert model["workflows"] == [str(workflow) for workflow in CATALOG[TINY].workflows]
    assert model["parameters"]["text2world"]["num_frames"] == {"default": 17, "allowed": "5 to 93 in steps of 4"}
    assert "video/mp4" in model["parameters"]["video2world"]["input_reference"]["allowed"]
    assert (await rig.client.get(f"/v1/models/{TINY}")).json() == model
    missing = await rig.client.get("/v1/models/none")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_model")


async def test_other_paths_and_methods_have_the_same_shape_of_error(rig: Rig) -> None:
    nowhere = await rig.client.get("/v1/nowhere")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")
    wrong = await rig.client.put("/v1/videos")
    assert wrong.headers["allow"] == "GET, POST"
    assert (await rig.client.put("/v1/videos/sync")).headers["allow"] == "POST"
    assert (await rig.client.put("/v1/videos/video_1/content")).headers["allow"] == "GET, HEAD"
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_a_fault_of_the_gateway_says_nothing_about_itself(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: str) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(rig.jobs, "get", broken)
    answer = await rig.client.get("/v1/videos/video_" + "0" * 32)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text


async def test_an_upload_waits_only_as_long_as_its_request(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def spy(file: Any, *_: Any) -> Any:
        opened.append(file)
        raise RuntimeError("stop here")

    monkeypatch.setattr("orrery.gateway.submitting.read_apart", spy)
    await rig.upload(png(8, 8))
    assert opened[0].closed
