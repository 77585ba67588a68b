"""`/v1/batches` from the file of requests to the files of results."""

from __future__ import annotations

import base64

import pytest

from gateway.batching import IMAGES, content, finish, jobs_of, line, ordered, put, read, so_far, steps, work_all
from gateway.rig import VIDEO, Rig
from gateway.samples import gradient, png


async def test_a_batch_of_videos_is_answered_as_the_calls_would_be(rig: Rig) -> None:
    batch = await ordered(rig, *(line(f"w{n}", seed=n) for n in range(3)), metadata={"for": "test"})
    assert batch["id"].startswith("batch_")
    expected = {
        "object": "batch",
        "status": "validating",
        "endpoint": "/v1/videos",
        "completion_window": "24h",
        "errors": None,
        "output_file_id": None,
        "error_file_id": None,
        "in_progress_at": None,
        "completed_at": None,
        "metadata": {"for": "test"},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
    }
    assert {name: batch[name] for name in expected} == expected
    assert batch["expires_at"] - batch["created_at"] == 86400
    ended = await finish(rig, batch["id"])
    assert (ended["status"], ended["request_counts"]) == ("completed", {"total": 3, "completed": 3, "failed": 0})
    assert ended["created_at"] <= ended["in_progress_at"] <= ended["finalizing_at"] <= ended["completed_at"]
    assert ended["error_file_id"] is None
    lines = await content(rig, ended["output_file_id"])
    assert [one["custom_id"] for one in lines] == ["w0", "w1", "w2"]
    for number, one in enumerate(lines):
        assert one.keys() == {"id", "custom_id", "response", "error"}
        response = one["response"]
        video = (await rig.client.get(f"/v1/videos/{response['body']['id']}")).json()
        assert (response["status_code"], response["body"], one["error"]) == (200, video, None)
        assert (video["seed"], video["status"], video["priority"]) == (number, "completed", "batch")
        assert video["notes"]["batch"] == {"id": batch["id"], "custom_id": f"w{number}"}
    made = await rig.client.get(f"/v1/videos/{lines[0]['response']['body']['id']}/content")
    assert made.content == VIDEO
    assert len({one["id"] for one in lines}) == 3


async def test_a_batch_of_images_is_answered_with_the_images(rig: Rig) -> None:
    lines = [line("one", IMAGES), line("two", IMAGES, n=2, seed=5), line("far", IMAGES, response_format="url")]
    batch = await ordered(rig, *lines, url=IMAGES)
    ended = await finish(rig, batch["id"])
    one, two, far = [answer["response"]["body"] for answer in await content(rig, ended["output_file_id"])]
    assert [base64.b64decode(image["b64_json"]) for image in one["data"]] == [VIDEO]
    assert [image["seed"] for image in two["data"]] == [5, 6]
    assert far["data"][0]["url"].startswith("http://gateway/v1/images/video_")
    assert isinstance(two["created"], int)
    assert len(await jobs_of(rig)) == 4


async def test_a_line_may_be_conditioned_on_a_file(rig: Rig) -> None:
    picture = await put(rig, png(64, 48), "vision")
    batch = await ordered(rig, line("a", input_reference={"file_id": picture}))
    await steps(rig, 2)
    (job,) = await jobs_of(rig)
    assert (await rig.conditioning(job.id)).tolist() == [gradient(64, 48).tolist()]
    assert (await finish(rig, batch["id"]))["status"] == "completed"


async def test_a_child_that_fails_is_an_error_line_with_its_reason(rig: Rig) -> None:
    batch = await ordered(rig, line("a"))
    error = {"code": "stage_failed", "message": "it broke"}
    ended = await finish(rig, batch["id"], failing={"denoiser": error})
    assert (ended["status"], ended["request_counts"]) == ("completed", {"total": 1, "completed": 0, "failed": 1})
    (one,) = await content(rig, ended["error_file_id"])
    assert (one["custom_id"], one["response"]["status_code"], one["response"]["body"]) == ("a", 500, {"error": error})
    assert ended["output_file_id"] is None


async def test_results_can_be_read_while_the_batch_runs(rig: Rig) -> None:
    batch = await ordered(rig, *(line(str(n)) for n in range(4)))
    await steps(rig, 2)
    first, second, *_ = await jobs_of(rig)
    await rig.work(second.id)
    await rig.work(first.id)
    await steps(rig)
    now = await read(rig, batch["id"])
    assert (now["status"], now["request_counts"]) == ("in_progress", {"total": 4, "completed": 2, "failed": 0})
    assert [one["custom_id"] for one in await so_far(rig, batch["id"])] == ["0", "1"]
    await finish(rig, batch["id"])
    assert [one["custom_id"] for one in await so_far(rig, batch["id"])] == ["0", "1", "2", "3"]


async def test_results_are_kept_as_long_as_was_asked(rig: Rig) -> None:
    batch = await ordered(rig, line("a"), output_expires_after={"anchor": "created_at", "seconds": 3600})
    ended = await finish(rig, batch["id"])
    file = (await rig.client.get(f"/v1/files/{ended['output_file_id']}")).json()
    assert (file["purpose"], file["filename"]) == ("batch_output", f"{batch['id']}_output.jsonl")
    assert file["expires_at"] - file["created_at"] == pytest.approx(3600, abs=1)
    await rig.client.delete(f"/v1/files/{file['id']}")
    assert (await rig.client.get(f"/v1/batches/{batch['id']}/output")).status_code == 404


async def test_many_lines_are_kept_in_order(rig: Rig) -> None:
    batch = await ordered(rig, *(line(f"w{n}", **({} if n % 10 else {"seed": -1})) for n in range(350)))
    await steps(rig, 2)
    while len(await jobs_of(rig)) < 315:
        await work_all(rig)
        await steps(rig)
    ended = await finish(rig, batch["id"])
    assert ended["request_counts"] == {"total": 350, "completed": 315, "failed": 35}
    good, bad = await content(rig, ended["output_file_id"]), await content(rig, ended["error_file_id"])
    assert [one["custom_id"] for one in good] == [f"w{n}" for n in range(350) if n % 10]
    assert [one["custom_id"] for one in bad] == [f"w{n}" for n in range(0, 350, 10)]
