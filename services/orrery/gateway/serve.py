"""The gateway as a process."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import uvicorn

from orrery.gateway.app import create_app
from orrery.gateway.edge.patience import head_in_time
from orrery.gateway.rpc.server import grpc_serving
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.stores import open_stores
from orrery.telemetry import logs
from orrery.telemetry.process import Telemetry
from orrery.telemetry.traffic import ArtifactTraffic
from orrery.worlds.environment import from_environment

GARBAGE_AFTER = 10_000
"""New containers after which the youngest are looked through for cycles that nobody holds."""


def main() -> None:
    """The process: settings from the environment, until SIGTERM or SIGINT."""
    logs.configure()
    _tend_garbage()
    settings = from_environment(GatewaySettings, os.environ)
    serve(settings, Telemetry.from_environment("orrery-gateway", os.environ))


def _tend_garbage() -> None:
    """Nearly everything here is freed by its count alone: the modules are looked through no more, what is new less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER, 20, 20)


def serve(settings: GatewaySettings, telemetry: Telemetry | None = None) -> None:
    """Blocks until the process is told to stop; requests under way then have `shutdown_seconds` to end."""
    telemetry = telemetry or Telemetry()
    try:
        asyncio.run(_serve(settings, telemetry))
    finally:
        telemetry.tracing.close()


async def _serve(settings: GatewaySettings, telemetry: Telemetry) -> None:
    traffic = ArtifactTraffic(telemetry.instruments)
    async with open_stores(settings, traffic) as stores, AsyncExitStack() as stack:
        app = create_app(settings, stores, telemetry)
        if settings.grpc_port is not None:
            serving = grpc_serving(app.state.gateway, settings.host, settings.grpc_port, ring=app.state.ring)
            await stack.enter_async_context(serving)
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            http=head_in_time(settings.head_seconds),
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
        server = _Server(config)
        await server.serve()
        # Requests that were cut off still have to let go of the job store before it is closed.
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)


class _Server(uvicorn.Server):
    """Uvicorn's own handlers send the signal again after the shutdown, which would end the process before its clean-up."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
