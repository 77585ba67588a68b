"""Keys over gRPC."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.edge.callers import guarded
from gateway.samples import png
from orrery.gateway.rpc.server import grpc_serving
from orrery.v1 import worlds_pb2 as v1
from orrery.v1.worlds_pb2_grpc import WorldsStub
from rpc.conftest import refusal

PROMPT = "a robot arm stacks boxes"


async def test_calls_are_made_with_a_key_and_see_its_tenants_jobs(tmp_path: Path) -> None:
    async with (
        guarded(tmp_path, {"tenant": "a"}, {"tenant": "b"}) as (rig, (a, b)),
        grpc_serving(rig.app.state.gateway, "127.0.0.1", 0, ring=rig.app.state.ring) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        worlds = WorldsStub(channel)
        of_a, of_b = (("authorization", f"Bearer {a.secret}"),), (("x-api-key", b.secret),)
        request = v1.CreateRequest(prompt=PROMPT)
        world = await worlds.Create(request, metadata=of_a)
        assert (await rig.jobs.get(world.id)).tenant == "a"
        assert (await worlds.Get(v1.GetRequest(id=world.id), metadata=of_a)).id == world.id
        assert [one.id for one in (await worlds.List(v1.ListRequest(), metadata=of_a)).worlds] == [world.id]
        assert not (await worlds.List(v1.ListRequest(), metadata=of_b)).worlds
        for metadata in ((), (("authorization", "Bearer no"),)):
            refused = await refusal(worlds.Get(v1.GetRequest(id=world.id), metadata=metadata))
            assert (refused.code, refused.details["ErrorInfo"].reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        for call in (
            worlds.Get(v1.GetRequest(id=world.id), metadata=of_b),
            worlds.Cancel(v1.CancelRequest(id=world.id), metadata=of_b),
        ):
            assert (await refusal(call)).code is grpc.StatusCode.NOT_FOUND
        assert (
            await refusal(_first(worlds.Watch(v1.WatchRequest(id=world.id), metadata=of_b)))
        ).code is grpc.StatusCode.NOT_FOUND
        other = (*of_a, ("x-orrery-tenant", "b"))
        assert (await refusal(worlds.Create(request, metadata=other))).code is grpc.StatusCode.PERMISSION_DENIED
        assert (await rig.jobs.get(world.id)).state == "queued"
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_files_are_the_keys_tenants(tmp_path: Path) -> None:
    async with (
        guarded(tmp_path, {"tenant": "a"}, {"tenant": "default"}) as (rig, (a, other)),
        grpc_serving(rig.app.state.gateway, "127.0.0.1", 0, ring=rig.app.state.ring) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        worlds = WorldsStub(channel)
        form = {"file": ("in.png", png(8, 8)), "purpose": (None, "vision")}
        put = [await rig.client.post("/v1/files", files=form, headers=holder.headers) for holder in (a, other)]
        own, others = (answer.json()["id"] for answer in put)
        of_a = (("authorization", f"Bearer {a.secret}"),)
        made = await worlds.Create(v1.CreateRequest(prompt=PROMPT, input_reference_uri=own), metadata=of_a)
        assert made.tenant == "a"
        refused = await refusal(worlds.Create(v1.CreateRequest(prompt=PROMPT, input_reference_uri=others), metadata=of_a))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


async def _first(stream: grpc.aio.UnaryStreamCall[v1.WatchRequest, v1.Event]) -> object:
    return await stream.read()
