"""What passes between Triton and the stage behind the adapter, where a caller that asks for everything does not see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from orrery.backend.repository import write_repository
from orrery.backend.settings import environment_of
from orrery.stages.stage import StageSettings
from orrery.worker.triton_client import TritonStages
from orrery.worker.triton_server import TritonServer
from orrery.worlds.contracts import DENOISER, GUARDRAIL_TEXT, StageContract
from orrery.worlds.errors import StageBroken
from worker.hosting import started, until_ready

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Stages as they are, but for what a test wants to see or to have happen.
BROKEN = """
from orrery.backend.adapter import stage_model
from orrery.worlds.errors import StageBroken


def broken(_values, _call):
    raise StageBroken("the device is lost")


class TritonPythonModel(stage_model("guardrail_text")):
    def initialize(self, args):
        super().initialize(args)
        self.stage.run = broken
"""
NOTED = """
import sys

from orrery.backend import adapter


def made(_values, call):
    call.report(step=1, num_steps=1)
    return {"latents": [[[[1.0]]]], "yielded": False}


class TritonPythonModel(adapter.stage_model("denoiser")):
    def initialize(self, args):
        super().initialize(args)
        self.stage.run = made
        # It is there only now.
        respond = adapter.pb_utils.InferenceResponse

        def noted(tensors):
            print("RESPONSE", sorted(tensor.name() for tensor in tensors), file=sys.stderr, flush=True)
            return respond(tensors)

        adapter.pb_utils.InferenceResponse = noted
"""
STAGES = {GUARDRAIL_TEXT.name: BROKEN, DENOISER.name: NOTED}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, stage_settings: StageSettings) -> AsyncIterator[TritonServer]:
    folder = tmp_path_factory.mktemp("adapter")
    write_repository(folder / "repository", STAGES)
    for name, text in STAGES.items():
        (folder / "repository" / name / "1" / "model.py").write_text(text)
    async with started(folder, tuple(STAGES), environment_of(stage_settings)) as server:
        yield server


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages(server: TritonServer, told: list[str]) -> AsyncIterator[TritonStages]:
    url = f"127.0.0.1:{server.options.grpc_port}"
    stages = TritonStages(url, shm_bytes=1 << 20, on_broken=lambda: told.append("broken"))
    await until_ready(stages, server)
    yield stages
    await stages.aclose()


async def test_whoever_keeps_the_server_hears_of_a_broken_stage(stages: TritonStages, told: list[str]) -> None:
    with pytest.raises(StageBroken, match="the device is lost"):
        async with stages.run(GUARDRAIL_TEXT, {"prompt": "a ball"}, ignored):
            pass
    assert told == ["broken"]


@pytest.mark.parametrize(
    ("contract", "answers"),
    [
        (DENOISER, (["num_steps", "step"], ["latents", "stage_seconds", "yielded"])),
        (replace(DENOISER, progress=DENOISER.progress[:1]), (["step"], ["latents", "stage_seconds"])),
    ],
    ids=["everything", "less"],
)
async def test_nothing_is_answered_that_nobody_asked_for(
    contract: StageContract, answers: tuple[list[str], ...], stages: TritonStages, server: TritonServer
) -> None:
    """The stub would drop it, and from Python 3.12 on crash over it."""
    before = len(responses(server))
    async with stages.run(contract, GIVEN, ignored) as result:
        assert result.outputs["latents"].tolist() == [[[[1.0]]]]
    assert responses(server)[before:] == [f"RESPONSE {names}" for names in answers]


def responses(server: TritonServer) -> list[str]:
    return [line for line in server.options.log_file.read_text().splitlines() if line.startswith("RESPONSE")]


async def ignored(_progress: Any) -> None:
    return


GIVEN = {
    "component": "none",
    "text_embeddings": np.zeros((1, 1), np.float32),
    "latent_shape": [1, 1, 1],
    "seed": 0,
    "num_inference_steps": 1,
    "guidance_scale": 0.0,
    "sampler": "euler",
}
