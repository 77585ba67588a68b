"""`orrery.v1.Worlds` over a real socket."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

from gateway.rig import THUMBNAIL, VIDEO
from gateway.samples import clip, png
from orrery.gateway.references import REFERENCE
from orrery.gateway.terms import FIELDS
from orrery.jobs.memory import MemoryJobs
from orrery.v1 import worlds_pb2 as v1
from orrery.worlds.requests import RequestedWorld
from rpc.conftest import Caller, calling, refusal


def test_a_request_has_every_field_that_http_takes() -> None:
    over_http = {*RequestedWorld.model_fields, "model", REFERENCE, *FIELDS}
    assert over_http <= set(v1.CreateRequest.DESCRIPTOR.fields_by_name)


async def test_a_job_is_the_same_over_both_transports(caller: Caller) -> None:
    world = await caller.create(seed=4, num_frames=9, guidance_scale=3.5, priority="batch", expires_after=3600)
    view = (await caller.rig.client.get(f"/v1/videos/{world.id}")).json()
    assert (world.status, view["status"]) == (v1.STATUS_QUEUED, "queued")
    assert MessageToDict(world.parameters) == view["parameters"]
    assert (world.parameters["seed"], world.parameters["num_frames"], world.parameters["guidance_scale"]) == (4, 9, 3.5)
    assert (world.priority, world.tenant, world.stage, world.queue_position) == ("batch", "default", "guardrail_text", 0)
    assert [task.id for task in world.tasks] == [task["id"] for task in view["timeline"]]
    assert world.created_at.seconds == view["created_at"]
    assert await caller.worlds.Get(v1.GetRequest(id=world.id)) == world


async def test_a_reference_starts_the_world(caller: Caller) -> None:
    still = await caller.create(input_reference=png(64, 48))
    assert (await caller.rig.conditioning(still.id)).shape == (1, 48, 64, 3)
    moving = await caller.create(input_reference=clip(7), num_conditional_frames=5)
    assert (await caller.rig.conditioning(moving.id)).shape == (5, 48, 64, 3)
    refused = await refusal(caller.create(input_reference=b"no image"))
    assert (refused.code, refused.details["ErrorInfo"].reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MEDIA")


async def test_a_reference_may_be_a_file_that_was_put_there_before(caller: Caller) -> None:
    upload = {"file": ("in.png", png(64, 48))}
    file = (await caller.rig.client.post("/v1/files", data={"purpose": "vision"}, files=upload)).json()
    world = await caller.create(input_reference_uri=file["id"])
    assert (await caller.rig.conditioning(world.id)).shape == (1, 48, 64, 3)
    refused = await refusal(caller.create(input_reference_uri=file["id"], input_reference=png(8, 8)))
    assert refused.details["BadRequest"].field_violations[0].field == "input_reference_uri"


async def test_a_key_gives_the_same_job_whatever_the_transport(caller: Caller) -> None:
    key = (("idempotency-key", "k-1"), ("x-orrery-tenant", "studio"))
    asked = {"seed": 1, "guidance_scale": 3}
    first, again = await caller.create(key, **asked), await caller.create(key, **asked)
    assert (first.id, first.replayed, again.replayed, again.tenant) == (again.id, False, True, "studio")
    headers = {"Idempotency-Key": "k-1", "X-Orrery-Tenant": "studio"}
    body = {"prompt": "a robot arm stacks boxes", "seed": 1, "guidance_scale": 3}
    over_http = await caller.rig.client.post("/v1/videos", json=body, headers=headers)
    assert over_http.json()["id"] == first.id
    form = await caller.rig.client.post("/v1/videos", files={name: (None, str(body[name])) for name in body}, headers=headers)
    assert form.json()["id"] == first.id
    refused = await refusal(caller.create(key, seed=2))
    assert refused.details["ErrorInfo"].reason == "IDEMPOTENCY_CONFLICT"


async def test_jobs_are_listed_by_pages(caller: Caller) -> None:
    ids = [(await caller.create(seed=seed)).id for seed in range(3)]
    page = await caller.worlds.List(v1.ListRequest(limit=2))
    assert ([world.id for world in page.worlds], page.has_more) == (ids[:0:-1], True)
    rest = await caller.worlds.List(v1.ListRequest(after=ids[1]))
    assert ([world.id for world in rest.worlds], rest.has_more) == ([ids[0]], False)
    oldest = await caller.worlds.List(v1.ListRequest(limit=1, order=v1.ListRequest.ORDER_ASCENDING))
    assert [world.id for world in oldest.worlds] == [ids[0]]
    for field, wrong in {"limit": v1.ListRequest(limit=101), "order": v1.ListRequest(order=7)}.items():  # type: ignore[arg-type]
        refused = await refusal(caller.worlds.List(wrong))
        assert refused.details["BadRequest"].field_violations[0].field == field


async def test_a_job_is_cancelled_and_stays_so(caller: Caller) -> None:
    world = await caller.create()
    assert (await caller.worlds.Cancel(v1.CancelRequest(id=world.id))).status == v1.STATUS_CANCELLED
    assert (await caller.worlds.Cancel(v1.CancelRequest(id=world.id))).status == v1.STATUS_CANCELLED
    assert (await caller.rig.jobs.get(world.id)).state == "cancelled"


async def watched(caller: Caller, job_id: str, after: str = "") -> list[v1.Event]:
    return [event async for event in caller.worlds.Watch(v1.WatchRequest(id=job_id, after=after), timeout=10)]


async def test_a_watch_tells_everything_to_the_result(caller: Caller) -> None:
    job_id = await caller.made()
    events = await watched(caller, job_id)
    assert [events[0].type, events[-1].type] == ["job.queued", "job.completed"]
    steps = [(event.stage, event.step, event.num_steps) for event in events if event.type == "job.progress"]
    assert steps == [("denoiser", 1, 2)] * 2
    result = events[-1].world
    assert (result.status, result.progress, result.file_size) == (v1.STATUS_COMPLETED, 100, len(VIDEO))
    assert not any(event.HasField("world") or event.HasField("preview") for event in events[:-1])


async def test_a_watch_goes_on_after_the_last_event_seen(caller: Caller) -> None:
    job_id = await caller.made()
    events = await watched(caller, job_id)
    assert await watched(caller, job_id, after=events[1].id) == events[2:]
    refused = await refusal(caller.worlds.Watch(v1.WatchRequest(id=job_id, after="yesterday")).read())
    assert refused.details["BadRequest"].field_violations[0].field == "after"


async def test_a_watch_goes_on_at_another_gateway() -> None:
    jobs = MemoryJobs()
    async with calling(jobs) as one, calling(jobs) as other:
        world = await one.create()
        watching = one.worlds.Watch(v1.WatchRequest(id=world.id))
        first = await watching.read()
        watching.cancel()
        await one.rig.work(world.id)
        rest = await watched(other, world.id, after=first.id)
        assert [first, *rest] == await watched(one, world.id)
        assert (await other.worlds.Get(v1.GetRequest(id=world.id))).status == v1.STATUS_COMPLETED


async def test_a_failed_job_ends_its_watch_with_the_reason(caller: Caller) -> None:
    world = await caller.create()
    error = {"code": "component_unusable", "message": "weights are gone"}
    await caller.rig.work(world.id, failing={"denoiser": error})
    last = (await watched(caller, world.id))[-1]
    assert (last.type, last.world.error.code, last.world.error.message) == ("job.failed", error["code"], error["message"])


async def downloaded(caller: Caller, **fields: Any) -> tuple[v1.FileInfo, bytes]:
    chunks = [chunk async for chunk in caller.worlds.Download(v1.DownloadRequest(**fields), timeout=10)]
    return chunks[0].file, b"".join(chunk.data for chunk in chunks)


async def test_files_come_in_chunks_from_any_offset(caller: Caller) -> None:
    job_id = await caller.made()
    file, data = await downloaded(caller, id=job_id)
    assert (file.media_type, file.size, data) == ("video/mp4", len(VIDEO), VIDEO)
    assert await downloaded(caller, id=job_id, offset=4000) == (file, VIDEO[4000:])
    assert await downloaded(caller, id=job_id, offset=len(VIDEO)) == (file, b"")
    thumbnail, data = await downloaded(caller, id=job_id, variant="thumbnail")
    assert (thumbnail.media_type, data) == ("image/png", THUMBNAIL)


async def test_only_what_is_there_is_downloaded(caller: Caller) -> None:
    job_id, unfinished = await caller.made(), await caller.create()
    wrong = {
        "variant": v1.DownloadRequest(id=job_id, variant="sound"),
        "offset": v1.DownloadRequest(id=job_id, offset=len(VIDEO) + 1),
    }
    for field, request in wrong.items():
        refused = await refusal(caller.worlds.Download(request).read())
        assert refused.details["BadRequest"].field_violations[0].field == field
    refused = await refusal(caller.worlds.Download(v1.DownloadRequest(id=unfinished.id)).read())
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_large_files_are_cut_into_messages_that_any_client_takes() -> None:
    large = bytes(range(256)) * 40_000  # several chunks of the store, and of gRPC
    async with calling() as caller:
        job_id = await caller.made()
        ref = await caller.rig.artifacts.put(large)
        job = await caller.rig.jobs.get(job_id)
        caller.rig.app.state.gateway.jobs.get = _always(job.model_copy(update={"result": {"media": ref}}))
        chunks = [chunk async for chunk in caller.worlds.Download(v1.DownloadRequest(id=job_id, offset=5_000_001))]
    assert b"".join(chunk.data for chunk in chunks) == large[5_000_001:]
    assert max(len(chunk.data) for chunk in chunks) <= 256 * 1024


def _always(value: Any) -> Any:
    async def get(_: str) -> Any:
        return value

    return get
