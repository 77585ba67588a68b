"""What a job shows while it runs, over HTTP."""

from __future__ import annotations

import json

import pytest

from gateway.rig import Rig
from gateway.samples import jpeg
from gateway.test_events import parsed
from orrery.jobs.records import Claim, Preview

SHOWN = Preview(step=4, width=32, height=18, image=jpeg(32, 18))


@pytest.fixture
async def running(rig: Rig) -> Claim:
    """The first task of a job."""
    job = await rig.jobs.get((await rig.post()).json()["id"])
    claim = await rig.jobs.claim([job.tasks[0].pool], "worker-1", wait=0)
    assert claim is not None
    return claim


def place(job_id: str) -> str:
    return f"/v1/videos/{job_id}/content?variant=preview"


async def test_a_job_that_runs_says_where_its_preview_is(rig: Rig, running: Claim) -> None:
    url = f"/v1/videos/{running.job_id}"
    assert (await rig.client.get(url)).json()["preview"] is None
    await rig.jobs.show(running, SHOWN)
    told = (await rig.client.get(url)).json()["preview"]
    assert told == {"step": 4, "width": 32, "height": 18, "url": place(running.job_id)}
    got, head = [await rig.client.request(method, told["url"]) for method in ("GET", "HEAD")]
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, SHOWN.image, "image/jpeg")
    assert {**head.headers, "x-request-id": ""} == {**got.headers, "x-request-id": ""}
    assert head.content == b""
    again = await rig.client.get(told["url"], headers={"If-None-Match": got.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_events_say_when_there_is_a_new_one(rig: Rig, running: Claim) -> None:
    await rig.jobs.show(running, SHOWN)
    for step in (4, 5):
        await rig.jobs.progress(running, step, 8)
    await rig.jobs.cancel(running.job_id)
    text = (await rig.client.get(f"/v1/videos/{running.job_id}/events")).text
    steps = [json.loads(event["data"])["data"] for event in parsed(text) if event["event"] == "job.progress"]
    place_of_it = {"step": 4, "width": 32, "height": 18, "url": place(running.job_id)}
    assert [(step["step"], step.get("preview")) for step in steps] == [(4, place_of_it), (5, None)]


async def test_why_there_is_none_is_told(rig: Rig, running: Claim) -> None:
    early = await rig.client.get(place(running.job_id))
    await rig.jobs.show(running, SHOWN)
    await rig.jobs.cancel(running.job_id)
    late = await rig.client.get(place(running.job_id))
    assert [(a.status_code, a.json()["error"]["code"]) for a in (early, late)] == [(404, "preview_not_found")] * 2
    assert "no preview yet" in early.json()["error"]["message"]
    assert "has ended" in late.json()["error"]["message"]


async def test_jobs_that_are_not_there_have_none(rig: Rig) -> None:
    answer = await rig.client.get(place("video_" + "0" * 32))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
