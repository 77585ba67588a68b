"""A gateway of both transports, with stores in memory, and a gRPC client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from grpc_status import rpc_status

from gateway.rig import Rig, rig_of
from orrery.gateway.rpc.server import grpc_serving
from orrery.jobs.memory import MemoryJobs
from orrery.v1 import worlds_pb2 as v1
from orrery.v1.worlds_pb2_grpc import WorldsStub

Detail = TypeVar("Detail", bound=Message)
KINDS = (details.ErrorInfo, details.BadRequest, details.RetryInfo)


@dataclass
class Caller:
    rig: Rig
    target: str
    channel: grpc.aio.Channel
    worlds: Any

    async def create(self, metadata: tuple[tuple[str, str], ...] = (), timeout: float = 10, **fields: Any) -> v1.World:
        request = v1.CreateRequest(**({"prompt": "a robot arm stacks boxes"} | fields))
        world: v1.World = await self.worlds.Create(request, metadata=metadata, timeout=timeout)
        return world

    async def made(self, **fields: Any) -> str:
        """The id of a completed job."""
        world = await self.create(**fields)
        await self.rig.work(world.id)
        return world.id


@dataclass
class Refusal:
    """A status with its details by their names."""

    code: grpc.StatusCode
    message: str
    details: dict[str, Any]


async def refusal(call: Any) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    found: dict[str, Any] = {}
    for packed in status.details if status else ():
        for kind in KINDS:
            if packed.Is(kind.DESCRIPTOR):
                found[kind.DESCRIPTOR.name] = kind.FromString(packed.value)
    return Refusal(caught.value.code(), caught.value.details() or "", found)


@asynccontextmanager
async def calling(jobs: MemoryJobs | None = None, **settings: Any) -> AsyncIterator[Caller]:
    async with rig_of(jobs, **settings) as rig, grpc_serving(rig.app.state.gateway, "127.0.0.1", 0) as port:
        target = f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(target) as channel:
            yield Caller(rig, target, channel, WorldsStub(channel))
    assert not [task for task in asyncio.all_tasks() if "Worlds" in repr(task.get_coro())]


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with calling() as caller:
        yield caller
