"""Statuses and details that say what HTTP's errors say, deadlines, sizes, health, reflection."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from gateway.rig import eventually, rig_of
from orrery.gateway.rpc import server as rpc_server
from orrery.gateway.rpc.statuses import status_of
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Job, Submission
from orrery.v1 import worlds_pb2 as v1
from orrery.worlds.errors import OrreryError, StoreUnavailable, leaves
from rpc.conftest import Caller, calling, refusal

NOBODY = "video_" + "0" * 32


async def test_a_refusal_names_the_field_as_http_does(caller: Caller) -> None:
    over_http = (await caller.rig.post(num_frames=10)).json()["error"]
    refused = await refusal(caller.create(num_frames=10))
    assert (refused.code, refused.message) == (grpc.StatusCode.INVALID_ARGUMENT, over_http["message"])
    assert refused.details["BadRequest"].field_violations[0].field == over_http["field"] == "num_frames"
    info = refused.details["ErrorInfo"]
    assert (info.reason, info.domain) == (over_http["code"].upper(), "orrery")
    assert info.metadata["allowed"] == str(over_http["allowed"])


async def test_a_guardrail_is_no_mistake_of_form(caller: Caller) -> None:
    refused = await refusal(caller.create(prompt="a fucking ball"))
    assert (refused.code, refused.details["ErrorInfo"].reason) == (grpc.StatusCode.PERMISSION_DENIED, "PROMPT_BLOCKED")
    assert "evidence" in refused.details["ErrorInfo"].metadata
    assert await caller.rig.left_behind() == []


async def test_what_is_not_there_is_not_found(caller: Caller) -> None:
    for call in (
        caller.worlds.Get(v1.GetRequest(id=NOBODY)),
        caller.worlds.Cancel(v1.CancelRequest(id="../../etc")),
        caller.worlds.Watch(v1.WatchRequest(id=NOBODY)).read(),
        caller.worlds.Download(v1.DownloadRequest(id=NOBODY)).read(),
        caller.create(model="none"),
    ):
        assert (await refusal(call)).code is grpc.StatusCode.NOT_FOUND


async def test_a_full_queue_says_when_to_come_again() -> None:
    async with calling(MemoryJobs(max_waiting_per_pool=4)) as caller:
        await caller.create()
        refused = await refusal(caller.create(seed=1))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.details["RetryInfo"].retry_delay.seconds >= 1


SERVERS = [error for error in leaves().values() if not error.__module__.startswith("orrery.sdk.")]


@pytest.mark.parametrize("error", SERVERS, ids=lambda error: error.code)
def test_every_error_of_the_tree_has_a_status(error: type[OrreryError]) -> None:
    status = status_of(error("why"))
    assert status.code is grpc.StatusCode[error.grpc_code]
    assert status.details == "why"


async def test_a_store_that_is_gone_is_unavailable() -> None:
    class Gone(MemoryJobs):
        async def look(self, job_id: str) -> tuple[Job, int | None]:
            raise StoreUnavailable("refused")

    async with calling(Gone()) as caller:
        refused = await refusal(caller.worlds.Get(v1.GetRequest(id=NOBODY)))
    assert (refused.code, refused.details["RetryInfo"].retry_delay.seconds) == (grpc.StatusCode.UNAVAILABLE, 5)


async def test_what_nobody_thought_of_is_internal_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryJobs):
        async def look(self, job_id: str) -> tuple[Job, int | None]:
            raise ZeroDivisionError("secret")

    async with calling(Broken()) as caller:
        refused = await refusal(caller.worlds.Get(v1.GetRequest(id=NOBODY)))
        calls = caller.rig.app.state.gateway.metrics.registry
        counted = {"method": "Get", "code": "INTERNAL"}

        async def is_counted() -> bool:
            return calls.get_sample_value("orrery_grpc_calls_total", counted) == 1

        await eventually(is_counted)  # the client has its answer before the server is done with the call
    assert (refused.code, "secret" in refused.message) == (grpc.StatusCode.INTERNAL, False)
    assert "secret" in caplog.text


async def test_a_status_fits_in_trailers_whatever_it_quotes(caller: Caller) -> None:
    refused = await refusal(caller.create(model="m" * 100_000))
    assert (refused.code, len(refused.message)) == (grpc.StatusCode.NOT_FOUND, 1000)


class SlowJobs(MemoryJobs):
    """Takes its time to submit."""

    def __init__(self, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self.seconds = seconds
        self.submitted: list[str] = []

    async def submit(self, submission: Submission) -> Job:
        await asyncio.sleep(self.seconds)
        job = await super().submit(submission)
        self.submitted.append(job.id)
        return job


async def test_a_create_past_its_deadline_leaves_no_work() -> None:
    jobs = SlowJobs(3.0)
    async with calling(jobs) as caller:
        refused = await refusal(caller.create(timeout=2.0))
        assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED
        (job_id,) = await eventually(lambda: _value(jobs.submitted))
        await eventually(lambda: _cancelled(jobs, job_id))


async def test_a_create_past_its_deadline_is_asked_for_again_by_its_key() -> None:
    jobs, key = SlowJobs(3.0), (("idempotency-key", "once"),)
    async with calling(jobs) as caller:
        assert (await refusal(caller.create(key, timeout=2.0))).code is grpc.StatusCode.DEADLINE_EXCEEDED
        world = await caller.create(key)
        assert (world.replayed, world.status) == (True, v1.STATUS_QUEUED)
        assert len((await jobs.list(after=None, limit=10, order="asc")).jobs) == 1


async def test_a_refusal_after_the_deadline_is_nobodys() -> None:
    async with calling(SlowJobs(0.4, max_waiting_per_pool=4)) as caller:
        await caller.create()
        assert (await refusal(caller.create(seed=1, timeout=0.1))).code is grpc.StatusCode.DEADLINE_EXCEEDED


async def _value(value: Any) -> Any:
    return value


async def _cancelled(jobs: MemoryJobs, job_id: str) -> bool:
    return (await jobs.get(job_id)).state == "cancelled"


async def test_a_watch_ends_at_its_deadline_and_lets_go(caller: Caller) -> None:
    world = await caller.create()
    call = caller.worlds.Watch(v1.WatchRequest(id=world.id), timeout=3.0)
    assert (await call.read()).type == "job.queued"
    assert (await refusal(call.read())).code is grpc.StatusCode.DEADLINE_EXCEEDED
    registry = caller.rig.app.state.gateway.metrics.registry
    labels = {"method": "Watch", "code": "CANCELLED"}
    await eventually(lambda: _value(registry.get_sample_value("orrery_grpc_calls_total", labels)))


async def test_a_watch_does_not_keep_the_server_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_server, "GRACE_SECONDS", 0.1)
    async with asyncio.timeout(15), calling() as caller:
        world = await caller.create()
        call = caller.worlds.Watch(v1.WatchRequest(id=world.id))
        assert (await call.read()).type == "job.queued"


async def test_a_port_that_is_taken_is_said_so(caller: Caller) -> None:
    port = int(caller.target.rpartition(":")[2])
    async with rig_of() as other:
        with pytest.raises(RuntimeError, match=str(port)):
            await rpc_server.grpc_serving(other.app.state.gateway, "127.0.0.1", port).__aenter__()


async def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    async with calling(rate_per_second=0.01, rate_burst=2) as caller:
        for _ in range(2):
            await caller.worlds.List(v1.ListRequest())
        refused = await refusal(caller.worlds.List(v1.ListRequest()))
    assert (refused.code, refused.details["ErrorInfo"].reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS")
    assert refused.details["RetryInfo"].retry_delay.seconds > 1


async def test_a_message_beyond_the_limit_is_refused_unread() -> None:
    async with calling(max_json_bytes=100_000) as caller:
        refused = await refusal(caller.create(input_reference=b"x" * 200_000))
        assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await caller.create()).status == v1.STATUS_QUEUED


async def test_the_service_is_found_by_reflection(caller: Caller) -> None:
    def look() -> tuple[set[str], list[str], list[str]]:
        with grpc.insecure_channel(caller.target) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            service = pool.FindServiceByName("orrery.v1.Worlds")
            fields = pool.FindMessageTypeByName("orrery.v1.CreateRequest").fields
            return set(database.get_services()), [m.name for m in service.methods], [f.name for f in fields]

    services, methods, fields = await asyncio.to_thread(look)
    assert services == {"orrery.v1.Worlds", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert methods == ["Create", "Get", "List", "Watch", "Cancel", "Download"]
    assert fields == [field.name for field in v1.CreateRequest.DESCRIPTOR.fields]


async def test_health_is_that_of_the_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_server, "LOOK_SECONDS", 0.01)
    serving = health_pb2.HealthCheckResponse
    async with calling() as caller:
        stub: Any = health_pb2_grpc.HealthStub(caller.channel)  # type: ignore[no-untyped-call, unused-ignore]

        async def health(service: str, wanted: int) -> bool:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            return bool(answer.status == wanted)

        await eventually(lambda: health("", serving.SERVING))
        await eventually(lambda: health("orrery.v1.Worlds", serving.NOT_SERVING))
        pools = rpc_server.unserved(caller.rig.app.state.gateway.model(None), {})
        await caller.rig.jobs.announce("worker-1", pools, seconds=60)
        await eventually(lambda: health("orrery.v1.Worlds", serving.SERVING))
