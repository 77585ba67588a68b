"""`orrery eval miniature` against a gateway behind a real socket, with a stand-in for the stages that draws what it is told."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from gateway.rig import Rig, Worker, eventually, rig_of
from gateway.served import served
from orrery.client.cli import app
from orrery.client.clips import HttpClips
from orrery.evaluation.prompts import held_out_prompts
from orrery.jobs.records import Claim
from orrery.miniature import drawing
from orrery.miniature.scenes import held_out_scene
from orrery.miniature.vocabulary import FPS
from orrery.sdk import Client, JobFailed
from orrery.stages.movies import MP4, film
from orrery.worlds.contracts import Tensor
from orrery.worlds.errors import JobCancelled, StageFailed
from orrery.worlds.plan import ArtifactRef

SEED = 5
SCENES = {prompt.text: prompt.scene for prompt in held_out_prompts(6, SEED)}
MODEL = "tiny-predict2"


class Painter(Worker):
    """Its video is a film of the scene that the prompt describes, or of another one if it is told not to listen."""

    deaf = False

    async def do(self, claim: Claim) -> None:
        self.prompt = (await self.jobs.get(claim.job_id)).request["prompt"]
        await super().do(claim)

    async def _output(self, tensor: Tensor) -> ArtifactRef:
        if tensor.name != "media":
            return await super()._output(tensor)
        scene = held_out_scene(SEED + 1, 0) if self.deaf else SCENES[self.prompt]
        return await self.artifacts.put(film(MP4, drawing.frames(scene), FPS, lambda: None))


@dataclass
class Studio:
    rig: Rig
    url: str
    painter: Painter
    working: asyncio.Task[Any]
    """Never ends but with an error."""

    async def run(self, *words: str) -> Result:
        arguments = ["eval", "miniature", "--url", self.url, "--model", MODEL, "--seed", str(SEED), *words]
        command = asyncio.create_task(asyncio.to_thread(CliRunner().invoke, app, arguments))
        await asyncio.wait({command, self.working}, return_when=asyncio.FIRST_COMPLETED)
        return await (command if command.done() else self.working)

    async def report(self, *words: str) -> Any:
        result = await self.run(*words, "--json")
        assert result.exit_code == 0, result.exception
        return json.loads(result.stdout)

    async def requests(self) -> list[dict[str, Any]]:
        page = await self.rig.jobs.list(after=None, limit=100, order="asc")
        return sorted((job.request for job in page.jobs), key=lambda request: request["seed"])


@pytest.fixture
async def studio() -> AsyncIterator[Studio]:
    async with rig_of() as rig, served(rig.app) as client:
        painter = Painter(rig.jobs, rig.artifacts)
        working = asyncio.create_task(_work(rig, painter))
        yield Studio(rig, str(client.base_url), painter, working)
        working.cancel()


async def _work(rig: Rig, painter: Painter) -> Any:
    while True:
        for job in (await rig.jobs.list(after=None, limit=100, order="asc")).jobs:
            await painter.finish(job.id)
        await asyncio.sleep(0.02)


async def test_clips_that_do_what_the_prompts_say_are_right(studio: Studio) -> None:
    found = await studio.report("--prompts", "6", "--steps", "7", "--sampler", "euler")
    assert {name: share["right"] for name, share in found["accuracy"].items()} == dict.fromkeys(found["accuracy"], 6)
    assert set(found["accuracy"]) == {"colour", "shape", "direction", "background", "all"}
    assert {key: found[key] for key in ("model", "workflow", "prompts", "seed", "steps", "sampler")} == {
        "model": MODEL,
        "workflow": "text2world",
        "prompts": 6,
        "seed": SEED,
        "steps": 7,
        "sampler": "euler",
    }
    made = await studio.requests()
    assert [request["prompt"] for request in made] == list(SCENES)
    assert [(request["seed"], request["num_inference_steps"], request["sampler"]) for request in made] == [
        (index, 7, "euler") for index in range(6)
    ]
    assert not any(request["conditioning"] for request in made)


async def test_clips_that_do_not_listen_are_wrong(studio: Studio) -> None:
    studio.painter.deaf = True
    found = await studio.report("--prompts", "6")
    assert found["accuracy"]["all"]["right"] == 0
    assert found["accuracy"]["colour"]["accuracy"] < 0.5


async def test_the_first_frame_goes_with_the_prompt(studio: Studio) -> None:
    found = await studio.report("--prompts", "2", "--workflow", "image2world")
    assert found["accuracy"]["all"]["right"] == 2
    assert found["conditioning_psnr"]["min"] > 30
    page = await studio.rig.jobs.list(after=None, limit=10, order="asc")
    for job in page.jobs:
        sent = await studio.rig.conditioning(job.id)
        np.testing.assert_array_equal(sent[:1], drawing.frames(SCENES[job.request["prompt"]])[:1])


async def test_people_get_tables_and_a_sheet(studio: Studio, tmp_path: Path) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    result = await studio.run("--prompts", "2", "--sheet", str(sheet))
    assert result.exit_code == 0, result.exception
    assert "2 held-out prompts, seed 5" in result.stdout
    assert [line for line in result.stdout.splitlines() if "background" in line and "100.0%" in line]
    with Image.open(io.BytesIO(sheet.read_bytes())) as image:
        assert (image.format, image.height > 200) == ("PNG", True)


async def test_a_job_that_fails_ends_the_evaluation_with_its_error(studio: Studio) -> None:
    studio.painter.failing["denoiser"] = StageFailed("the device is gone").to_dict()
    result = await studio.run("--prompts", "2")
    assert isinstance(result.exception, JobFailed)
    assert "the device is gone" in str(result.exception)
    assert result.stdout == ""


async def test_an_evaluation_that_is_broken_off_leaves_no_job_behind(studio: Studio) -> None:
    studio.working.cancel()
    with Client(studio.url) as client:
        clips = HttpClips(client, MODEL)
        making = asyncio.create_task(asyncio.to_thread(clips, "a red circle", None, seed=1, steps=None, sampler=None))
        await eventually(studio.requests)
        while not making.done():
            await asyncio.to_thread(clips.cancel)
            await asyncio.sleep(0.02)
        with pytest.raises(JobCancelled):
            await making
    (job,) = (await studio.rig.jobs.list(after=None, limit=10, order="asc")).jobs
    assert job.state.ended


def test_the_self_check_needs_no_server() -> None:
    words = ["eval", "miniature", "--self-check", "--prompts", "8", "--seed", "2", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)
    for name, chance in found["chance"].items():
        assert found["drawn"]["accuracy"][name]["accuracy"] == found["h264"]["accuracy"][name]["accuracy"] == 1
        assert found["h264"]["other_captions"][name] == chance < 0.6
