"""Webhooks: signed, repeated until taken, told of every end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from dispatcher.hooks import SECRET, answered, called, complete, dispatching, receivers, settled
from dispatcher.receiver import receiving
from dispatcher.work import Jobs, claim, submission
from gateway.rig import eventually
from orrery.dispatcher.messages import messages
from orrery.dispatcher.webhooks import pause_after
from orrery.jobs.deliveries import Deliveries, MemoryDeliveries
from orrery.jobs.memory import MemoryJobs


async def test_a_receiver_can_verify_what_it_is_told(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver, dispatching(jobs, deliveries, receivers(receiver)) as counted:
        await complete(jobs, "done", tenant="t", notes={"webhook_url": receiver.url})
        (body,) = await called(receiver, 1)
        await settled(deliveries)
    (call,) = receiver.calls
    assert Webhook(SECRET).verify(call.body, call.headers) == body
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(call.body.replace("done", "gone"), call.headers)
    job = await jobs.get("done")
    assert (body["type"], body["data"]["id"], body["data"]["status"]) == ("video.completed", "done", "completed")
    assert (body["data"]["tenant"], body["data"]["finished_at"]) == ("t", job.finished_at)
    assert body["timestamp"].endswith("Z")
    assert (call.path, call.headers["content-type"]) == ("/hook?token=s3cret", "application/json")
    assert call.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert counted.labels("delivered")._value.get() == 1


async def test_every_end_is_told_and_a_start_if_wanted(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver, dispatching(jobs, deliveries, receivers(receiver, in_progress=True)):
        await complete(jobs, "done")
        await jobs.submit(submission("failed"))
        await jobs.fail(await claim(jobs, "encode"), {"code": "stage_failed", "message": "no"}, retry=False)
        await jobs.submit(submission("cancelled"))
        await jobs.cancel("cancelled")
        await jobs.submit(submission("started"))
        await claim(jobs, "encode")
        ends = {("video.completed", "done"), ("video.failed", "failed"), ("video.cancelled", "cancelled")}

        async def all_told() -> list[dict[str, Any]] | None:
            bodies = [json.loads(call.body) for call in receiver.calls]
            told = {(body["type"], body["data"]["id"]) for body in bodies}
            return bodies if told >= ends | {("video.in_progress", "started")} else None

        bodies = await eventually(all_told)
    (failed,) = [body["data"] for body in bodies if body["data"]["id"] == "failed" and body["type"] == "video.failed"]
    assert failed["error"]["code"] == "stage_failed"


async def test_the_jobs_own_receiver_is_told_beside_the_general_one(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as general, receiving() as own, dispatching(jobs, deliveries, receivers(general)):
        await complete(jobs, "with", notes={"webhook_url": own.url})
        await complete(jobs, "without")
        await called(general, 2)
        await called(own, 1)
        await settled(deliveries)
    assert len(own.calls) == 1
    ids = [call.headers["webhook-id"] for call in general.calls + own.calls]
    assert len(set(ids)) == 3


async def test_what_fails_is_repeated_under_the_same_id(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver, dispatching(jobs, deliveries, receivers(receiver)) as counted:
        receiver.answers([500, 404, 302, 429], then=200)
        receiver.location = receiver.url + "&redirected"
        await complete(jobs, "done")
        await called(receiver, 5)
        await settled(deliveries)
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    assert {call.path for call in receiver.calls} == {"/hook?token=s3cret"}
    assert (counted.labels("failed")._value.get(), counted.labels("delivered")._value.get()) == (4, 1)


async def test_a_receiver_that_never_takes_it_is_given_up(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver, dispatching(jobs, deliveries, receivers(receiver, attempts=3)) as counted:
        receiver.answers([], then=503)
        await complete(jobs, "done")
        await called(receiver, 3)
        await settled(deliveries)
    assert len(receiver.calls) == 3
    assert counted.labels("given_up")._value.get() == 1


async def test_a_receiver_that_says_gone_is_not_asked_again(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver, dispatching(jobs, deliveries, receivers(receiver)) as counted:
        receiver.answers([], then=410)
        await complete(jobs, "done")
        await called(receiver, 1)
        await settled(deliveries)
    assert (len(receiver.calls), counted.labels("gone")._value.get()) == (1, 1)


async def test_a_receiver_that_hangs_or_is_not_there_holds_up_nobody(jobs: Jobs, deliveries: Deliveries) -> None:
    told = receivers(None, timeout=1.0, attempts=1)
    async with receiving() as slow, receiving() as quick, dispatching(jobs, deliveries, told) as counted:
        slow.pause = 5
        for job_id, url in (("a", slow.url), ("b", "http://127.0.0.1:1/"), ("c", "http://nowhere.invalid/"), ("d", quick.url)):
            await complete(jobs, job_id, notes={"webhook_url": url})
        await called(quick, 1)
        await settled(deliveries)
        assert counted.labels("given_up")._value.get() == 3


async def test_what_was_told_can_be_asked_for_again(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver, dispatching(jobs, deliveries, receivers(receiver)):
        await complete(jobs, "done")
        await called(receiver, 1)
        await settled(deliveries)
        await deliveries.ask_again("done")
        await deliveries.ask_again("nothing")
        await called(receiver, 2)
        await settled(deliveries)
        await answered(deliveries)
    first, second = receiver.calls
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


def test_a_job_that_fails_twice_gives_two_messages_and_one_state_one() -> None:
    async def ids() -> list[str]:
        clock = [1_000_000.0]
        jobs = MemoryJobs(clock=lambda: clock[0])
        await jobs.submit(submission("dead"))
        found = []
        for _ in range(2):
            while await jobs.claim(["encode"], "w", wait=0):
                clock[0] += 1000
            found += [messages(await jobs.get("dead"), "https://example.org/")[0].id for _ in range(2)]
            await jobs.requeue("dead")
        return found

    a, b, c, d = asyncio.run(ids())
    assert a == b != c == d
    assert a.startswith("msg_")


async def test_a_url_is_not_logged_beyond_its_host(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="orrery")
    jobs, deliveries = MemoryJobs(), MemoryDeliveries()
    async with receiving() as receiver, dispatching(jobs, deliveries, receivers(receiver)):
        await complete(jobs, "done")
        await called(receiver, 1)
        await settled(deliveries)
    assert "delivered" in caplog.text
    assert "s3cret" not in caplog.text
    assert SECRET not in caplog.text


def test_pauses_grow_with_full_jitter_up_to_an_hour() -> None:
    for attempts, most in ((0, 5), (3, 40), (20, 3600)):
        pauses = [pause_after(attempts, 5.0) for _ in range(500)]
        assert 0 <= min(pauses) < most / 10
        assert most * 0.9 < max(pauses) <= most
