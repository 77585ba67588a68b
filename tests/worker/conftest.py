from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from orrery.backend.repository import write_repository
from orrery.backend.settings import environment_of
from orrery.embedded.settings import free_ports
from orrery.stages.stage import StageSettings
from orrery.worker.triton_client import TritonStages
from orrery.worker.triton_files import embedded_triton
from orrery.worker.triton_server import TritonOptions, TritonServer
from orrery.worlds.contracts import DENOISER, GUARDRAIL_TEXT


@pytest.fixture(scope="session")
def stage_settings(models_dir: Path) -> StageSettings:
    return StageSettings(models_dir=models_dir, threads=2)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton_server(tmp_path_factory: pytest.TempPathFactory, stage_settings: StageSettings) -> AsyncIterator[TritonServer]:
    """One real server, for all tests that share the session's loop."""
    folder = tmp_path_factory.mktemp("triton")
    models = (DENOISER.name, GUARDRAIL_TEXT.name)
    write_repository(folder / "repository", models)
    grpc_port, metrics_port = free_ports(2)
    options = TritonOptions(
        files=embedded_triton(folder),
        repository=folder / "repository",
        models=models,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        log_file=folder / "triton.log",
        environment=environment_of(stage_settings),
    )
    server = TritonServer(options)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton(triton_server: TritonServer) -> AsyncIterator[TritonStages]:
    """The real stages on it."""
    stages = TritonStages(f"127.0.0.1:{triton_server.options.grpc_port}", shm_bytes=1 << 28)
    async with asyncio.timeout(120):
        while not (await stages.ready(DENOISER.name) and await stages.ready(GUARDRAIL_TEXT.name)):
            await asyncio.sleep(0.1)
    yield stages
    await stages.aclose()
