"""The gRPC server of a gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from orrery.gateway.context import Gateway
from orrery.gateway.edge.keys import KeyRing
from orrery.gateway.readiness import unserved
from orrery.gateway.rpc.callers import KnownCallers
from orrery.gateway.rpc.calls import TypedCalls
from orrery.gateway.rpc.worlds import Worlds
from orrery.gateway.waiting import end
from orrery.v1 import worlds_pb2, worlds_pb2_grpc
from orrery.worlds.errors import StoreUnavailable

log = logging.getLogger(__name__)

WORLDS = worlds_pb2.DESCRIPTOR.services_by_name["Worlds"].full_name
GRACE_SECONDS = 2.0
LOOK_SECONDS = 2.0
"""How old the word on health may be."""


@asynccontextmanager
async def grpc_serving(gateway: Gateway, host: str, port: int, *, ring: KeyRing | None = None) -> AsyncIterator[int]:
    """Serves until the context ends; gives the port, which is a free one if `port` is 0. Raises `RuntimeError` if it is taken.

    Calls under way then have `GRACE_SECONDS` to end: whoever watches or downloads goes on elsewhere from where it was.
    """
    limits = (("grpc.max_receive_message_length", gateway.settings.max_json_bytes), ("grpc.so_reuseport", 0))
    interceptors = (TypedCalls(gateway.metrics.grpc_calls, gateway.tracing), KnownCallers(gateway.settings, ring))
    server = grpc.aio.server(interceptors=interceptors, options=limits)
    worlds, healths = Worlds(gateway), health.aio.HealthServicer()
    worlds_pb2_grpc.add_WorldsServicer_to_server(worlds, server)
    health_pb2_grpc.add_HealthServicer_to_server(healths, server)
    reflection.enable_server_reflection((WORLDS, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    bound = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    log.info("gRPC at %s:%d", host, bound)
    telling = asyncio.create_task(_tell_health(gateway, healths))
    try:
        yield bound
    finally:
        await end(telling)
        await healths.enter_graceful_shutdown()
        await server.stop(GRACE_SECONDS)
        await worlds.close()


async def _tell_health(gateway: Gateway, healths: health.aio.HealthServicer) -> None:
    """The server's own health is that it answers; that of `Worlds` is what `/health/ready` says."""
    await healths.set(health.OVERALL_HEALTH, health_pb2.HealthCheckResponse.SERVING)
    while True:
        serving = await _ready(gateway)
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await healths.set(WORLDS, status)
        await asyncio.sleep(LOOK_SECONDS)


async def _ready(gateway: Gateway) -> bool:
    try:
        return not unserved(gateway.model(None), await gateway.jobs.pools())
    except StoreUnavailable:
        return False
