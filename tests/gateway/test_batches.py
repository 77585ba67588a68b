"""`/v1/batches` from the file of requests to the files of results."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.batching import (
    IMAGES,
    PAUSE,
    content,
    finish,
    jobs_of,
    jsonl,
    line,
    ordered,
    put,
    read,
    so_far,
    steps,
    work_all,
)
from gateway.rig import VIDEO, Rig, rig_of
from gateway.samples import gradient, png
from orrery.jobs.memory import MemoryJobs

BOB = {"X-Orrery-Tenant": "bob"}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rig_of(**PAUSE) as rig:
        yield rig


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


BAD_LINES: dict[str, tuple[Any, str]] = {
    "method": ({"method": "GET"}, "method"),
    "url": ({"url": "/v1/chat/completions"}, "url"),
    "other endpoint": ({"url": IMAGES}, "url"),
    "no body": ({"body": None}, "body"),
    "extra": ({"priority": "high"}, "priority"),
    "field": ({"body": {"prompt": "x", "sead": 1}}, "sead"),
    "range": ({"body": {"prompt": "x", "seed": -1}}, "seed"),
    "priority": ({"body": {"prompt": "x", "priority": "interactive"}}, "priority"),
    "model": ({"body": {"prompt": "x", "model": "sora-2"}}, "model"),
    "webhook": ({"body": {"prompt": "x", "webhook_url": "https://example.org/"}}, "webhook_url"),
    "half a pair": ({"body": {"prompt": "\ud800"}}, "body"),
}


async def test_each_bad_line_becomes_an_error_line_before_anything_is_submitted(rig: Rig) -> None:
    bad = [line(name) | changes for name, (changes, _) in BAD_LINES.items()]
    batch = await ordered(rig, line("good"), *bad)
    await steps(rig)
    begun = await read(rig, batch["id"])
    assert (begun["status"], begun["request_counts"]) == ("in_progress", {"total": 12, "completed": 0, "failed": 11})
    assert await jobs_of(rig) == []
    assert len(await so_far(rig, batch["id"], "errors")) == 11
    ended = await finish(rig, batch["id"])
    assert (ended["status"], ended["request_counts"]) == ("completed", {"total": 12, "completed": 1, "failed": 11})
    answers = {one["custom_id"]: one for one in await content(rig, ended["error_file_id"])}
    assert list(answers) == list(BAD_LINES)
    for name, (_, field) in BAD_LINES.items():
        response = answers[name]["response"]
        assert response["body"]["error"]["field"] == field, name
        assert response["status_code"] == (404 if name == "model" else 422)
    assert [one["custom_id"] for one in await content(rig, ended["output_file_id"])] == ["good"]


async def test_a_batch_of_bad_lines_alone_is_completed_at_once(rig: Rig) -> None:
    batch = await ordered(rig, *(line(str(n), seed=-1) for n in range(150)))
    ended = await finish(rig, batch["id"])
    assert (ended["status"], ended["request_counts"]) == ("completed", {"total": 150, "completed": 0, "failed": 150})
    assert ended["output_file_id"] is None
    assert len(await content(rig, ended["error_file_id"])) == 150


BAD_FILES: dict[str, tuple[bytes, list[tuple[str, int | None]]]] = {
    "no JSON": (b"prompt,seed\na robot,1\n", [("invalid_json_line", 1), ("invalid_json_line", 2)]),
    "one bad line": (jsonl(line("a"), b"{\n", line("b"), b"[1]\n"), [("invalid_json_line", 2), ("invalid_json_line", 4)]),
    "binary": (b"\xff\xfe\x00" * 9, [("invalid_json_line", 1)]),
    "empty": (b"", [("empty_file", None)]),
    "blank": (b"\n \n\n", [("empty_file", None)]),
    "same name": (jsonl(line("a"), b"\n", line("a")), [("duplicate_custom_id", 3)]),
    "no name": (jsonl(line("a"), line(None)), [("invalid_custom_id", 2)]),
    "number": (jsonl(line(7)), [("invalid_custom_id", 1)]),
    "empty name": (jsonl(line("")), [("invalid_custom_id", 1)]),
    "half a pair": (jsonl(line("\udc00")), [("invalid_custom_id", 1)]),
    "deep": (b"[" * 100_000 + b"\n", [("invalid_json_line", 1)]),
}


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_file_whose_lines_nobody_could_answer_fails_with_line_numbers(rig: Rig, name: str) -> None:
    data, problems = BAD_FILES[name]
    batch = await ordered(rig, data)
    await steps(rig)
    failed = await read(rig, batch["id"])
    assert (failed["status"], failed["errors"]["object"]) == ("failed", "list")
    assert [(one["code"], one["line"]) for one in failed["errors"]["data"]] == problems
    assert failed["failed_at"] >= failed["created_at"]
    assert await jobs_of(rig) == []
    assert await so_far(rig, batch["id"]) == []


async def test_too_many_and_too_long_lines_fail() -> None:
    async with rig_of(max_batch_lines=3, max_json_bytes=2000) as rig:
        for lines, code in (([line(str(n)) for n in range(4)], "too_many_lines"), ([line("a" * 2500)], "line_too_long")):
            batch = await ordered(rig, *lines)
            await steps(rig)
            failed = await read(rig, batch["id"])
            assert (failed["status"], failed["errors"]["data"][0]["code"]) == ("failed", code)


async def test_a_last_line_needs_no_line_break(rig: Rig) -> None:
    batch = await ordered(rig, jsonl(line("a")) + jsonl(line("b")).rstrip(b"\n"))
    await steps(rig)
    assert (await read(rig, batch["id"]))["request_counts"]["total"] == 2


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


async def test_no_more_lines_are_open_than_may_be(rig: Rig) -> None:
    async with rig_of(batch_open_lines=5, **PAUSE) as rig:
        batch = await ordered(rig, *(line(str(n)) for n in range(40)))
        for done in (0, 0, 1, 3):
            for job in (await jobs_of(rig))[:done]:
                await rig.work(job.id)
            await steps(rig, 2)
            jobs = await jobs_of(rig)
            assert sum(not job.state.ended for job in jobs) == 5
        ended = await finish(rig, batch["id"])
        assert ended["request_counts"] == {"total": 40, "completed": 40, "failed": 0}
        assert len(await jobs_of(rig)) == 40


async def test_a_full_queue_is_waited_for_and_nothing_is_lost(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.gateway.batching.feeder.LONGEST_PAUSE", 0.01)
    async with rig_of(MemoryJobs(max_waiting_per_pool=30), **PAUSE) as rig:
        batch = await ordered(rig, *(line(str(n)) for n in range(60)))
        await steps(rig, 3)
        taken = len(await jobs_of(rig))
        assert 0 < taken < 60
        ended = await finish(rig, batch["id"])
        assert (ended["status"], ended["request_counts"]["completed"]) == ("completed", 60)
        lines = await content(rig, ended["output_file_id"])
        assert [one["custom_id"] for one in lines] == [str(n) for n in range(60)]
        assert len(await jobs_of(rig)) == 60


async def test_cancelling_a_batch_cancels_its_children_and_keeps_what_was_done(rig: Rig) -> None:
    async with rig_of(batch_open_lines=4, **PAUSE) as rig:
        batch = await ordered(rig, *(line(str(n)) for n in range(10)))
        await steps(rig, 2)
        done, *others = await jobs_of(rig)
        await rig.work(done.id)
        claim = await rig.jobs.claim(sorted({task.pool for task in done.tasks}), "worker-1", wait=0)
        assert claim is not None
        answer = await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelling")
        await steps(rig)
        assert await rig.jobs.renew(claim) == "cancelled"
        states = await rig.jobs.states([done.id, *(job.id for job in others)])
        assert list(states.values()) == ["completed", *["cancelled"] * 3]
        ended = await read(rig, batch["id"])
        assert (ended["status"], ended["request_counts"]) == ("cancelled", {"total": 10, "completed": 1, "failed": 9})
        assert ended["cancelling_at"] <= ended["cancelled_at"]
        assert [one["custom_id"] for one in await content(rig, ended["output_file_id"])] == ["0"]
        left = await content(rig, ended["error_file_id"])
        assert [one["custom_id"] for one in left] == [str(n) for n in range(1, 10)]
        assert {(one["response"], one["error"]["code"]) for one in left} == {(None, "batch_cancelled")}
        again = await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
        assert (again.status_code, again.json()) == (200, ended)
        assert len(await jobs_of(rig)) == 4


async def test_a_batch_can_be_cancelled_before_it_is_validated(rig: Rig) -> None:
    batch = await ordered(rig, line("a"))
    await rig.client.post(f"/v1/batches/{batch['id']}/cancel")
    ended = await finish(rig, batch["id"])
    assert (ended["status"], ended["request_counts"], ended["output_file_id"]) == (
        "cancelled",
        {"total": 0, "completed": 0, "failed": 0},
        None,
    )
    assert await jobs_of(rig) == []


async def test_a_window_that_closes_ends_the_batch_with_what_was_done(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.gateway.batching.ordering._seconds", lambda _: 0.3)
    async with rig_of(batch_open_lines=2, **PAUSE) as rig:
        batch = await ordered(rig, *(line(str(n)) for n in range(4)))
        await steps(rig, 2)
        first, second = await jobs_of(rig)
        await rig.work(first.id)
        while (ended := await read(rig, batch["id"]))["status"] not in ("expired", "completed"):
            await steps(rig)
        assert (ended["status"], ended["request_counts"]) == ("expired", {"total": 4, "completed": 1, "failed": 3})
        assert (await rig.jobs.states([second.id])) == {second.id: "cancelled"}
        left = await content(rig, ended["error_file_id"])
        assert [(one["custom_id"], one["error"]["code"]) for one in left] == [(n, "batch_expired") for n in "123"]


async def test_a_window_that_closes_after_the_last_line_was_done_ends_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orrery.gateway.batching.ordering._seconds", lambda _: 0.2)
    batch = await ordered(rig, line("a"))
    await steps(rig, 2)
    await work_all(rig)
    await asyncio.sleep(0.25)
    ended = await finish(rig, batch["id"])
    assert (ended["status"], ended["request_counts"]) == ("completed", {"total": 1, "completed": 1, "failed": 0})


async def test_a_child_that_its_client_deleted_is_an_error_line(rig: Rig) -> None:
    batch = await ordered(rig, line("a"), line("b"))
    await steps(rig, 2)
    first, second = await jobs_of(rig)
    await rig.client.delete(f"/v1/videos/{first.id}")
    await rig.client.post(f"/v1/videos/{second.id}/cancel")
    ended = await finish(rig, batch["id"])
    lines = await content(rig, ended["error_file_id"])
    assert [one["response"]["body"]["error"]["code"] for one in lines] == ["job_not_found", "job_cancelled"]
    assert [one["response"]["status_code"] for one in lines] == [404, 409]


async def test_the_input_may_be_deleted_once_the_batch_is_taken(rig: Rig) -> None:
    batch = await ordered(rig, line("a"))
    await rig.client.delete(f"/v1/files/{batch['input_file_id']}")
    assert (await finish(rig, batch["id"]))["status"] == "completed"


async def test_batches_are_listed_and_are_their_tenants_own(rig: Rig) -> None:
    ids = [(await ordered(rig, line(str(n)), headers=BOB if n == 1 else None))["id"] for n in range(3)]
    page = (await rig.client.get("/v1/batches", params={"limit": 1})).json()
    assert ([one["id"] for one in page["data"]], page["has_more"], page["last_id"]) == ([ids[2]], True, ids[2])
    page = (await rig.client.get("/v1/batches", params={"after": ids[2]})).json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == ([ids[0]], False)
    assert (await read(rig, ids[1], BOB))["id"] == ids[1]
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/output"), ("GET", "/errors")):
        answer = await rig.client.request(method, f"/v1/batches/{ids[1]}{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "batch_not_found")
    await steps(rig, 4)
    assert {job.tenant for job in await jobs_of(rig)} <= {"default", "bob"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input_file_id": "file-" + "0" * 32}, "input_file_id"),
        ({"input_file_id": None}, "input_file_id"),
        ({"endpoint": "/v1/chat/completions"}, "endpoint"),
        ({"endpoint": ["/v1/videos"]}, "endpoint"),
        ({"completion_window": "24"}, "completion_window"),
        ({"completion_window": "31d"}, "completion_window"),
        ({"completion_window": None}, "completion_window"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"a" * 65: ""}}, "metadata"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"metadata": {"a": "\ud800"}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after"),
        ({"priority": "batch"}, "priority"),
    ],
)
async def test_bad_orders_are_refused_with_the_field(rig: Rig, fields: dict[str, Any], field: str) -> None:
    file_id = await put(rig, jsonl(line("a")))
    order = {"input_file_id": file_id, "endpoint": "/v1/videos", "completion_window": "24h"} | fields
    headers = {"Content-Type": "application/json"}
    answer = await rig.client.post("/v1/batches", content=json.dumps(order), headers=headers)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert (await rig.client.get("/v1/batches")).json()["data"] == []


async def test_only_files_for_batches_are_taken(rig: Rig) -> None:
    file_id = await put(rig, jsonl(line("a")), "user_data")
    order = {"input_file_id": file_id, "endpoint": "/v1/videos", "completion_window": "24h"}
    answer = await rig.client.post("/v1/batches", json=order)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "input_file_id")


async def test_an_order_that_is_repeated_under_its_key_is_one_batch(rig: Rig) -> None:
    file_id = await put(rig, jsonl(line("a")))
    order = {"input_file_id": file_id, "endpoint": "/v1/videos", "completion_window": "24h"}
    made = [
        (await rig.client.post("/v1/batches", json=order, headers={"Idempotency-Key": key})).json()["id"]
        for key in ("one", "one", "two")
    ]
    assert (made[0] == made[1], made[1] == made[2]) == (True, False)
    assert len((await rig.client.get("/v1/batches")).json()["data"]) == 2


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
