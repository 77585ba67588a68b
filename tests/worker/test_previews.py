"""Previews on their way from the stage to the store."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from orrery.jobs.answers import PREVIEW_BYTES
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import JobState, Preview
from orrery.worker.stage_client import InProcessStages
from worker.rig import Rig, eventually, working


class Showing:
    """A denoiser that shows `image` after its first step and goes on when it is told to, or when it is cancelled."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.go_on = False
        self.asked: list[float] = []

    def __call__(self, values: Any, call: Any) -> dict[str, Any]:
        self.asked.append(values["preview_every_seconds"])
        shown = {"preview": np.frombuffer(self.image, np.uint8), "preview_size": np.array([256, 140], np.int32)}
        call.report(step=1, num_steps=2, **shown)
        while not self.go_on:
            call.check_cancelled()
        call.report(step=2, num_steps=2)
        return {"latents": np.zeros((1, 1, 1, 1), np.float32)}


@pytest.fixture
def rig() -> Rig:
    return Rig(MemoryJobs())


async def test_what_a_stage_shows_is_there_while_the_job_runs(rig: Rig) -> None:
    denoiser = Showing(b"\xff\xd8 a jpeg")
    async with working(rig.worker(InProcessStages({"denoiser": denoiser}))):
        await rig.submit()
        await eventually(lambda: rig.jobs.preview("job"))
        assert await rig.jobs.preview("job") == Preview(step=1, width=256, height=140, image=denoiser.image)
        denoiser.go_on = True
        assert (await rig.ended()).state is JobState.COMPLETED
    assert await rig.jobs.preview("job") is None
    told = [event.data async for event in rig.jobs.events(job_id="job") if event.type == "job.progress"]
    assert [(data["step"], data.get("preview")) for data in told] == [(1, {"step": 1, "width": 256, "height": 140}), (2, None)]
    assert denoiser.asked == [2.0]


async def test_one_that_is_too_large_is_lost_and_nothing_else(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    denoiser = Showing(bytes(PREVIEW_BYTES + 1))
    with caplog.at_level(logging.WARNING, "orrery.worker"):
        async with working(rig.worker(InProcessStages({"denoiser": denoiser}))):
            await rig.submit()
            await eventually(lambda: caplog.records)
            denoiser.go_on = True
            assert (await rig.ended()).state is JobState.COMPLETED
    assert [record.getMessage() for record in caplog.records] == [
        f"no preview of job after step 1: the preview has {PREVIEW_BYTES + 1} bytes"
    ]
