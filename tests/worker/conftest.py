from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from orrery.backend.repository import write_repository
from orrery.backend.settings import environment_of
from orrery.stages.stage import StageSettings
from orrery.worker.triton_client import TritonStages
from orrery.worker.triton_server import TritonServer
from orrery.worlds.contracts import DENOISER, GUARDRAIL_TEXT
from worker.hosting import started, until_ready


@pytest.fixture(scope="session")
def stage_settings(models_dir: Path) -> StageSettings:
    return StageSettings(models_dir=models_dir, threads=2)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton_server(tmp_path_factory: pytest.TempPathFactory, stage_settings: StageSettings) -> AsyncIterator[TritonServer]:
    """One real server, for all tests that share the session's loop."""
    folder = tmp_path_factory.mktemp("triton")
    models = (DENOISER.name, GUARDRAIL_TEXT.name)
    write_repository(folder / "repository", models)
    async with started(folder, models, environment_of(stage_settings)) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton(triton_server: TritonServer) -> AsyncIterator[TritonStages]:
    """The real stages on it."""
    url = f"127.0.0.1:{triton_server.options.grpc_port}"
    stages = TritonStages(url, shm_bytes=1 << 28, on_broken=triton_server.renew)
    await until_ready(stages, triton_server)
    yield stages
    await stages.aclose()
