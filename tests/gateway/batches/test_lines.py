"""What becomes of the lines of a batch: those nobody could answer, and how many are open at a time."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.batching import IMAGES, PAUSE, content, finish, jobs_of, jsonl, line, ordered, read, so_far, steps
from gateway.rig import Rig, rig_of
from orrery.jobs.memory import MemoryJobs

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
