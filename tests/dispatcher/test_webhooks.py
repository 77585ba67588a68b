"""Webhooks: signed, repeated until taken, not forgotten over a restart, and never sent into private networks."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter
from redis.asyncio import Redis
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from dispatcher.receiver import Receiver, receiving
from dispatcher.work import Jobs, claim, submission
from gateway.rig import eventually
from orrery.dispatcher import webhooks as module
from orrery.dispatcher.messages import messages
from orrery.dispatcher.webhooks import Receivers, Webhooks, pause_after
from orrery.jobs.cancelling import end
from orrery.jobs.deliveries import Cursor, Deliveries, Delivery, MemoryDeliveries, RedisDeliveries
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Completion
from orrery.outbound.addresses import AddressRefused, AddressUnknown, address_of, is_public
from orrery.worlds.plan import ArtifactRef

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def counter() -> Counter:
    return Counter("orrery_webhook_attempts", "of a test", ["outcome"], registry=CollectorRegistry())


def receivers(receiver: Receiver | None = None, **changes: Any) -> Receivers:
    given = Receivers(KEY, everyone=receiver and receiver.url, allow_private=True, pause=0.01, timeout=1.0)
    return replace(given, **changes)


@asynccontextmanager
async def dispatching(jobs: Jobs, deliveries: Deliveries, told: Receivers | None) -> AsyncIterator[Counter]:
    counted = counter()
    hooks = Webhooks(jobs, deliveries, told, counted)
    tasks = asyncio.create_task(hooks.follow()), asyncio.create_task(hooks.send())
    try:
        yield counted
        assert not any(task.done() and task.exception() for task in tasks)
    finally:
        await end(*tasks)


async def called(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    async def enough() -> bool:
        return len(receiver.calls) >= count

    await eventually(enough)
    return [json.loads(call.body) for call in receiver.calls]


async def settled(deliveries: Deliveries) -> None:
    async def none_left() -> bool:
        return await deliveries.pending() == 0

    await eventually(none_left)


async def complete(jobs: Jobs, job_id: str, **fields: Any) -> None:
    await jobs.submit(submission(job_id, **fields))
    for pool in ("encode", "publish"):
        taken = await claim(jobs, pool)
        outputs = {"out": made(pool)}
        await jobs.complete(taken, Completion(outputs=outputs, memo=False, stage_seconds=0.1))


def made(name: str) -> ArtifactRef:
    return ArtifactRef(digest=name.encode().hex().ljust(64, "0"), size=1)


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
    told = receivers(None, timeout=0.3, attempts=1)
    async with receiving() as slow, receiving() as quick, dispatching(jobs, deliveries, told) as counted:
        slow.pause = 5
        for job_id, url in (("a", slow.url), ("b", "http://127.0.0.1:1/"), ("c", "http://nowhere.invalid/"), ("d", quick.url)):
            await complete(jobs, job_id, notes={"webhook_url": url})
        await called(quick, 1)
        await settled(deliveries)
        assert counted.labels("given_up")._value.get() == 3


async def test_a_restart_forgets_nothing_and_repeats_nothing(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver:
        async with dispatching(jobs, deliveries, receivers(receiver)):
            await complete(jobs, "before")
            await called(receiver, 1)
            await settled(deliveries)
        await complete(jobs, "between")
        receiver.answers([500], then=200)
        async with dispatching(jobs, deliveries, receivers(receiver, pause=0.2)):
            await called(receiver, 2)
        async with dispatching(jobs, deliveries, receivers(receiver)):
            await called(receiver, 3)
            await settled(deliveries)
    told = [json.loads(call.body)["data"]["id"] for call in receiver.calls]
    assert told == ["before", "between", "between"]
    assert receiver.calls[1].headers["webhook-id"] == receiver.calls[2].headers["webhook-id"]


async def test_ends_are_told_although_their_events_are_forgotten(forgetful: Jobs, client: Redis) -> None:
    """A dispatcher that was away for longer than events are kept."""
    jobs, deliveries = forgetful, RedisDeliveries(client)
    async with receiving() as receiver:
        async with dispatching(jobs, deliveries, receivers(receiver)):
            await complete(jobs, "before")
            await called(receiver, 1)
            await settled(deliveries)
        await complete(jobs, "between")
        await jobs.submit(submission("noise"))
        taken = await claim(jobs, "encode")
        for step in range(1, 400):
            await jobs.progress(taken, step, 400)
        await complete(jobs, "at last")
        async with dispatching(jobs, deliveries, receivers(receiver)):
            await eventually(lambda: has_heard(receiver, "before", "between", "at last"))
            await complete(jobs, "after")
            await eventually(lambda: has_heard(receiver, "before", "between", "at last", "after"))
            await settled(deliveries)
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 4
    assert len(receiver.calls) <= 5  # what ended just at the cursor may come again
    kinds = [event.type for event in await kept_events(jobs)]
    assert kinds.count("job.completed") == 2


async def has_heard(receiver: Receiver, *job_ids: str) -> bool:
    return {json.loads(call.body)["data"]["id"] for call in receiver.calls} == set(job_ids)


async def kept_events(jobs: Jobs) -> list[Any]:
    found = []
    async with aclosing(jobs.events(after="0")) as events:
        async for event in events:
            found.append(event)
            if (event.type, event.job_id) == ("job.completed", "after"):
                break
    return found


async def test_what_was_owed_survives_the_job(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver:
        receiver.answers([500], then=200)
        async with dispatching(jobs, deliveries, receivers(receiver, pause=0.05)):
            await complete(jobs, "done")
            await called(receiver, 1)
            await jobs.delete("done")
            await called(receiver, 2)
            await settled(deliveries)


async def test_two_dispatchers_tell_everything_once(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver:
        told = receivers(receiver)
        async with dispatching(jobs, deliveries, told), dispatching(jobs, deliveries, told):
            for k in range(20):
                await complete(jobs, f"job-{k}")
            await called(receiver, 20)
            await settled(deliveries)
    assert sorted(json.loads(call.body)["data"]["id"] for call in receiver.calls) == sorted(f"job-{k}" for k in range(20))


async def test_what_was_told_can_be_asked_for_again(jobs: Jobs, deliveries: Deliveries) -> None:
    async with receiving() as receiver, dispatching(jobs, deliveries, receivers(receiver)):
        await complete(jobs, "done")
        await called(receiver, 1)
        await settled(deliveries)
        await deliveries.ask_again("done")
        await deliveries.ask_again("nothing")
        await called(receiver, 2)
        await settled(deliveries)
    first, second = receiver.calls
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert await deliveries.asked() == []


async def test_without_a_secret_nobody_is_told_then_or_later(jobs: Jobs, deliveries: Deliveries, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "CURSOR_EVENTS", 1)
    async with receiving() as receiver:
        async with dispatching(jobs, deliveries, None):
            await complete(jobs, "early", notes={"webhook_url": receiver.url})

            async def passed() -> bool:
                return await deliveries.cursor() != Cursor()

            await eventually(passed)
            await asyncio.sleep(0.1)
        async with dispatching(jobs, deliveries, receivers()):
            await complete(jobs, "late", notes={"webhook_url": receiver.url})
            (body,) = await called(receiver, 1)
    assert body["data"]["id"] == "late"


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


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "::127.0.0.1",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_in_any_dress_are_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_known(address: str) -> None:
    assert is_public(address)


class Names:
    """A resolver that gives its answers one after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in self.answers.pop(0)]


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Names:
    names = Names(*answers)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names, raising=False)
    return names


async def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, ["8.8.8.8", "10.0.0.1"], ["8.8.8.8"], [])
    with pytest.raises(AddressRefused):
        await address_of("hook.example", 443, allow_private=False)
    assert await address_of("hook.example", 443, allow_private=False) == "8.8.8.8"
    with pytest.raises(AddressUnknown):
        await address_of("hook.example", 443, allow_private=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433"])
async def test_nothing_is_sent_to_private_addresses(host: str) -> None:
    jobs, deliveries = MemoryJobs(), MemoryDeliveries()
    async with receiving() as receiver:
        told = receivers(allow_private=False, everyone=f"http://{host}:{receiver.port}/")
        async with dispatching(jobs, deliveries, told) as counted:
            await complete(jobs, "done")

            async def refused() -> bool:
                return counted.labels("refused")._value.get() == 1

            await eventually(refused)
            await settled(deliveries)
    assert receiver.calls == []


async def test_the_address_that_was_checked_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is asked for a second time could lead elsewhere."""
    async with receiving() as receiver:
        names = resolve(monkeypatch, ["127.0.0.1"])
        jobs, deliveries = MemoryJobs(), MemoryDeliveries()
        url = f"http://rebound.example:{receiver.port}/hook"
        async with dispatching(jobs, deliveries, receivers(everyone=url)):
            await complete(jobs, "done")
            await called(receiver, 1)
    assert names.answers == []
    assert receiver.calls[0].headers["host"] == f"rebound.example:{receiver.port}"


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


async def test_what_is_taken_is_nobody_elses_for_a_while(deliveries: Deliveries) -> None:
    owed = [Delivery(id=name, job_id="j", url="http://x/", body="{}") for name in "ab"]
    reached = Cursor(event="5-0", at=1.5)
    assert await deliveries.accept(owed, after=Cursor(), cursor=reached)
    assert not await deliveries.accept(owed, after=Cursor(), cursor=Cursor(event="6-0", at=2.0))
    assert await deliveries.cursor() == reached
    assert {one.id for one in await deliveries.take(10, seconds=0.1)} == {"a", "b"}
    assert await deliveries.take(10, seconds=60) == []
    await asyncio.sleep(0.12)
    assert len(await deliveries.take(1, seconds=60)) == 1
    await deliveries.settle(owed[0])
    await deliveries.postpone(owed[1], seconds=-1)
    (again,) = await deliveries.take(10, seconds=60)
    assert (again.id, again.attempts, await deliveries.pending()) == ("b", 1, 1)
