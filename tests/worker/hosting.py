"""A real Triton over the repository in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from orrery.embedded.settings import free_ports
from orrery.worker.triton_client import TritonStages
from orrery.worker.triton_files import embedded_triton
from orrery.worker.triton_server import TritonOptions, TritonServer


@asynccontextmanager
async def started(folder: Path, models: tuple[str, ...], environment: Mapping[str, str]) -> AsyncIterator[TritonServer]:
    """`models` of `folder`/repository, with `environment` beside what Triton needs."""
    grpc_port, metrics_port = free_ports(2)
    options = TritonOptions(
        files=embedded_triton(folder),
        repository=folder / "repository",
        models=models,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        log_file=folder / "triton.log",
        environment=environment,
    )
    server = TritonServer(options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def until_ready(stages: TritonStages, server: TritonServer) -> None:
    async with asyncio.timeout(120):
        while not all([await stages.ready(model) for model in server.options.models]):
            await asyncio.sleep(0.1)
