"""Server-sent events: of one job and of all, resumed where they were left."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from gateway.rig import Rig, eventually, rig_of
from gateway.served import lines_of, served

ALL = "/v1/events"


def parsed(text: str) -> list[dict[str, str]]:
    blocks = [block for block in text.strip().split("\n\n") if not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


async def collected(client: httpx.AsyncClient, count: int, last_id: str | None = None) -> list[dict[str, str]]:
    """The first events of all jobs after `last_id`, then the connection is dropped."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    async with client.stream("GET", ALL, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = await lines_of(answer, 2 + 3 * count)
    return [dict(line.split(": ", 1) for line in lines[at : at + 3]) for at in range(2, len(lines), 3)]


async def test_a_stream_begins_with_how_soon_to_come_again(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    await rig.jobs.cancel(job_id)
    text = (await rig.client.get(f"/v1/videos/{job_id}/events")).text
    assert text.startswith("retry: 2000\n")
    assert [event["event"] for event in parsed(text)] == ["job.queued", "job.cancelled"]


@pytest.mark.parametrize("url", [ALL, "/v1/videos/video_" + "0" * 32 + "/events"])
async def test_an_id_must_be_one_of_an_event(rig: Rig, url: str) -> None:
    for wrong in ("$", "abc", "1-", "-1", "9" * 30):
        answer = await rig.client.get(url, headers={"Last-Event-ID": wrong})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "Last-Event-ID")


async def test_a_connection_that_breaks_again_and_again_misses_nothing(rig: Rig) -> None:
    async with served(rig.app) as client:
        ids = [(await rig.post(seed=seed)).json()["id"] for seed in range(4)]
        seen, last = [], "0"
        for count in (1, 3, 2, 5):
            working = asyncio.create_task(rig.work(ids.pop()))
            got = await collected(client, count, last)
            seen, last = seen + got, got[-1]["id"]
            await working
        total = len([event async for event in _kept(rig)])
        seen += await collected(client, total - len(seen), last)
    expected = [event async for event in _kept(rig)]
    assert [event["id"] for event in seen] == [event.id for event in expected]
    assert [json.loads(event["data"])["job_id"] for event in seen] == [event.job_id for event in expected]


async def _kept(rig: Rig) -> Any:
    """What the store has to tell so far."""
    events = rig.jobs.events(after="0")
    while True:
        coming = asyncio.ensure_future(anext(events))
        done, _ = await asyncio.wait({coming}, timeout=0.05)
        if not done:
            coming.cancel()
            return
        yield coming.result()


async def test_who_names_no_id_hears_what_comes_and_can_come_back(rig: Rig) -> None:
    async with served(rig.app) as client:
        before = (await rig.post(seed=1)).json()["id"]
        await rig.jobs.cancel(before)
        following = rig.app.state.gateway.following

        async def caught_up() -> bool:
            return following.seen == [event async for event in _kept(rig)][-1].id

        await eventually(caught_up)
        async with client.stream("GET", ALL) as answer:
            head = await lines_of(answer, 2)  # broken off before any event came
        missed = (await rig.post(seed=2)).json()["id"]
        got = await collected(client, 1, head[1].removeprefix("id: "))
    assert head[0] == "retry: 2000"
    assert json.loads(got[0]["data"])["job_id"] == missed


async def test_silence_is_filled_with_comments(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.gateway.routes.events.SILENCE_SECONDS", 0.05)
    async with served(rig.app) as client, client.stream("GET", ALL) as answer:
        assert (await lines_of(answer, 4))[2:] == [": still here", ": still here"]


async def test_who_was_away_for_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.jobs.shelf.EVENTS_KEPT", 5)
    async with rig_of() as rig, served(rig.app) as client:

        async def first_lines(last_id: str) -> list[str]:
            async with client.stream("GET", ALL, headers={"Last-Event-ID": last_id}) as answer:
                return await lines_of(answer, 5)

        for seed in range(8):
            await rig.post(seed=seed)
        assert (await first_lines("1-0"))[2] == "event: events.forgotten"
        for known in ("0", "4-0", "6-0"):
            assert (await first_lines(known))[2].startswith("id: ")


async def test_an_id_before_any_event_is_no_reason_to_wait_for_one(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.gateway.routes.events.LOOK_SECONDS", 0.05)
    async with served(rig.app) as client, client.stream("GET", ALL, headers={"Last-Event-ID": "7-0"}) as answer:
        assert await lines_of(answer, 2) == ["retry: 2000", "id: 7-0"]
