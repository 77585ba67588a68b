"""What is refused before a body is read, and clients that take their time."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.edge.callers import guarded
from gateway.edge.sockets import Raw, raw
from gateway.rig import Rig, rig_of
from orrery.gateway.edge.buckets import Buckets
from orrery.telemetry.logs import JsonFormatter

HEAD = "POST /v1/videos HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_up_again() -> None:
    clock = Clock()
    buckets = Buckets(2, clock)
    assert [buckets.take("a", 0.5) for _ in range(3)] == [0.0, 0.0, 2.0]
    assert buckets.take("b", 0.5) == 0.0
    clock.now += 1
    assert buckets.take("a", 0.5) == pytest.approx(1.0)
    clock.now += 1
    assert buckets.take("a", 0.5) == 0.0
    clock.now += 1000
    assert [buckets.take("a", 0.5) for _ in range(3)] == [0.0, 0.0, 2.0]


async def test_too_many_requests_are_told_when_to_come_again() -> None:
    async with rig_of(rate_per_second=0.01, rate_burst=2) as rig:
        answers = [await rig.post() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[2].json()["error"]["code"] == "too_many_requests"
        assert int(answers[2].headers["Retry-After"]) > 50


async def test_rates_are_each_keys_own(tmp_path: Path) -> None:
    fast = {"tenant": "b", "rate_per_second": 1e6}
    async with guarded(tmp_path, {"tenant": "a"}, fast, rate_per_second=0.01, rate_burst=1) as (_, (a, b)):
        assert [(await a.post()).status_code for _ in range(2)] == [202, 429]
        assert [(await b.post()).status_code for _ in range(5)] == [202] * 5


async def test_many_and_large_headers_are_refused(rig: Rig) -> None:
    for headers in ({f"x-{k}": "1" for k in range(120)}, {"x-large": "1" * 40_000}):
        answer = await rig.client.get("/health/live", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (431, "headers_too_large")
    assert (await rig.client.get("/v1/videos?after=" + "1" * 40_000)).status_code == 431


@asynccontextmanager
async def impatient(**settings: float) -> AsyncIterator[tuple[Rig, Raw]]:
    async with (
        rig_of(**({"body_idle_seconds": 0.3, "body_seconds": 1.0} | settings)) as rig,
        raw(rig.app, head_seconds=0.5) as sender,
    ):
        yield rig, sender


async def test_a_body_that_stops_coming_is_not_waited_for() -> None:
    async with impatient() as (rig, sender):
        answer = await sender.exchange(HEAD + 'Content-Length: 100\r\n\r\n{"prompt":')
        assert (answer.status, answer.code) == (408, "request_too_slow")
        assert answer.closed
        assert await rig.left_behind() == []


async def test_a_body_that_drips_for_ever_has_an_end() -> None:
    async with impatient() as (rig, sender):
        started = time.monotonic()
        answer = await sender.exchange(HEAD + "Transfer-Encoding: chunked\r\n\r\n", dripping=b"1\r\n{\r\n", pause=0.05)
        assert answer.status == 408
        assert time.monotonic() - started < 10
        assert await rig.left_behind() == []


async def test_an_upload_that_stops_leaves_nothing() -> None:
    form = HEAD.replace("application/json", "multipart/form-data; boundary=b") + "Content-Length: 9999999\r\n\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="input_reference"; filename="a.png"\r\n\r\n' + "x" * 2_000_000
    async with impatient() as (rig, sender):
        assert (await sender.exchange(form + part)).status == 408
        assert await rig.left_behind() == []


async def test_a_head_that_does_not_end_is_hung_up_on() -> None:
    async with impatient() as (_, sender):
        for start in ("", "GET /health/live HT", "GET /health/live HTTP/1.1\r\nX-A: b\r\n"):
            assert (await sender.exchange(start)).closed
        dripped = await sender.exchange("GET / HTTP/1.1\r\n", dripping=b"X-A: b\r\n", pause=0.05)
        assert dripped.closed
        assert dripped.status is None


async def test_a_second_head_on_a_connection_has_its_time_too() -> None:
    async with impatient() as (_, sender):
        answer = await sender.exchange("GET /health/live HTTP/1.1\r\nHost: a\r\n\r\nGET /health/li")
        assert (answer.status, answer.closed) == (200, True)


async def test_a_request_that_waits_for_its_answer_is_not_slow() -> None:
    async with impatient(generation_timeout_seconds=1.5) as (_, sender):
        body = json.dumps({"prompt": "a box"})
        head = HEAD.replace("/v1/videos", "/v1/videos/sync") + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        assert (await sender.exchange(head + body)).status == 504  # the generation's own time, not the body's


async def test_a_refused_body_is_not_read_on() -> None:
    async with impatient(body_idle_seconds=20.0, body_seconds=20.0) as (_, sender):
        started = time.monotonic()
        answer = await sender.exchange(HEAD + "Content-Length: 999999999999\r\n\r\n{")
        assert (answer.status, answer.code, answer.closed) == (413, "upload_too_large", True)
        assert time.monotonic() - started < 10


async def test_requests_have_names(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    given = await rig.client.post("/v1/videos", json={"prompt": "a secret box"}, headers={"X-Request-Id": "abc-1.2"})
    assert given.headers["X-Request-Id"] == "abc-1.2"
    made = await rig.post()
    for odd in ("", "a b", "a" * 65, "{}", "a\tb"):
        answer = await rig.client.get("/health/live", headers={"X-Request-Id": odd})
        assert len(answer.headers["X-Request-Id"]) == 32
    assert len(made.headers["X-Request-Id"]) == 32
    assert "a secret box" not in "\n".join(str(record.__dict__) for record in caplog.records)


async def test_every_line_about_a_request_has_its_name(rig: Rig) -> None:
    lines: list[dict[str, object]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    handler, logger = Collect(), logging.getLogger("orrery.gateway")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        await rig.client.post("/v1/videos", json={"prompt": "a box"}, headers={"X-Request-Id": "one"})
        await asyncio.gather(*(rig.client.get("/nothing", headers={"X-Request-Id": f"r{k}"}) for k in range(3)))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    names = [(line["logger"], line["request_id"]) for line in lines if line["request_id"] == "one"]
    assert names == [("orrery.gateway.submitting", "one"), ("orrery.gateway.edge.identity", "one")]
    assert sorted(str(line["request_id"]) for line in lines if line["message"] == "GET unmatched 404") == ["r0", "r1", "r2"]


async def test_prompts_are_logged_only_if_somebody_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with rig_of(log_prompts=True) as rig:
        await rig.client.post("/v1/videos", json={"prompt": "a box for all to see"})
    assert any("a box for all to see" in str(record.__dict__.get("prompt")) for record in caplog.records)
