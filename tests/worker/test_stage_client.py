"""What a worker may expect of its stages, of functions in this process and of a real Triton alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from orrery.backend.control import ControlByte
from orrery.stages.stage import StageSettings, stage_class
from orrery.worker.stage_client import Control, InProcessStages, StageClient
from orrery.worker.triton_client import TritonStages
from orrery.worlds.contracts import DENOISER, GUARDRAIL_TEXT, PUBLISHER
from orrery.worlds.errors import CheckpointRefused, InvalidField, OrreryError, PromptBlocked, StageUnavailable

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEPS = 6


@pytest.fixture(scope="session")
def in_process(stage_settings: StageSettings) -> InProcessStages:
    made = {name: stage_class(name)(stage_settings) for name in (DENOISER.name, GUARDRAIL_TEXT.name)}
    return InProcessStages({name: stage.run for name, stage in made.items()})


@pytest.fixture(params=["in_process", "triton"])
def stages(request: pytest.FixtureRequest) -> StageClient:
    return request.getfixturevalue(request.param)


def values(**changed: Any) -> dict[str, Any]:
    given = {
        "component": "tiny-predict2-text2image",
        "text_embeddings": np.random.RandomState(1).standard_normal((512, 32)).astype(np.float32),
        "negative_text_embeddings": np.random.RandomState(2).standard_normal((512, 32)).astype(np.float32),
        "latent_shape": [1, 12, 22],
        "seed": 5,
        "num_inference_steps": STEPS,
        "guidance_scale": 4.0,
        "sampler": "res_2ab",
    }
    return given | changed


class Watcher:
    """Collects progress; `after` is done once the step of that number has been heard of."""

    def __init__(self, step: int = 0, after: Callable[[], None] = lambda: None) -> None:
        self.seen: list[dict[str, Any]] = []
        self._step = step
        self._after = after

    async def __call__(self, progress: Any) -> None:
        self.seen.append(dict(progress))
        if progress["step"] == self._step:
            self._after()

    @property
    def steps(self) -> list[int]:
        return [progress["step"] for progress in self.seen]

    @property
    def checkpoints(self) -> dict[int, Any]:
        return {p["step"]: p["checkpoint"] for p in self.seen if "checkpoint" in p}


async def latents(stages: StageClient, given: dict[str, Any], watcher: Watcher | None = None) -> bytes:
    async with stages.run(DENOISER, given, watcher or Watcher()) as result:
        assert not result.yielded
        return result.outputs["latents"].tobytes()


async def yielded_part(stages: StageClient, given: dict[str, Any]) -> tuple[int, Any]:
    """The step after which a stage yielded that was asked to in its second, and its checkpoint.

    Triton does not wait until a step has been heard of: on a busy machine it may be done before the wish is there. Then again.
    """
    async with asyncio.timeout(60):
        while True:
            control = Control()
            watcher = Watcher(2, control.ask_to_yield)
            async with stages.run(DENOISER, given, watcher, control) as result:
                if not result.yielded:
                    continue
                assert result.outputs == {}
            ((step, checkpoint),) = watcher.checkpoints.items()
            assert watcher.steps == list(range(1, step + 1))
            return step, checkpoint


async def test_a_stage_answers_and_reports_every_step(stages: StageClient) -> None:
    watcher = Watcher()
    async with stages.run(DENOISER, values(), watcher, Control()) as result:
        assert (result.outputs["latents"].shape, result.outputs["latents"].dtype) == ((16, 1, 12, 22), np.float32)
        assert (result.yielded, result.stage_seconds > 0) == (False, True)
    assert watcher.seen == [{"step": step, "num_steps": STEPS} for step in range(1, STEPS + 1)]


async def test_only_stages_that_are_there_are_ready(stages: StageClient) -> None:
    assert await stages.ready(DENOISER.name)
    assert not await stages.ready(PUBLISHER.name)


async def test_a_stage_fails_in_its_own_words(stages: StageClient) -> None:
    with pytest.raises(PromptBlocked) as refusal:
        async with stages.run(GUARDRAIL_TEXT, {"prompt": "a beheading", "negative_prompt": ""}, Watcher()):
            pass
    assert refusal.value.evidence
    with pytest.raises(InvalidField, match="ddim") as invalid:
        await latents(stages, values(sampler="ddim"))
    assert invalid.value.field == "sampler"


@pytest.mark.parametrize("sampler", ["res_2ab", "euler"])
async def test_a_stage_that_yields_goes_on_elsewhere_to_the_same_bytes(
    sampler: str, stages: StageClient, in_process: InProcessStages, triton: TritonStages
) -> None:
    given = values(sampler=sampler, num_inference_steps=40)
    whole = await latents(in_process, given)
    step, checkpoint = await yielded_part(stages, given)
    assert 2 <= step < 40
    for client in (in_process, triton):
        rest = Watcher()
        assert await latents(client, given | {"resume_from": checkpoint}, rest) == whole
        assert rest.steps == list(range(step + 1, 41))


async def test_what_wants_to_yield_before_it_began_runs_no_step(stages: StageClient) -> None:
    control, watcher = Control(), Watcher()
    control.ask_to_yield()
    async with stages.run(DENOISER, values(), watcher, control) as result:
        assert result.yielded
    assert watcher.seen == []


async def test_a_wish_ends_with_its_request(stages: StageClient) -> None:
    """The next request may use the same byte."""
    control = Control()
    await latents(stages, values())
    async with stages.run(DENOISER, values(), Watcher(), control):
        pass
    control.ask_to_yield()
    watcher = Watcher()
    await latents(stages, values(), watcher)
    assert watcher.steps[-1] == STEPS


async def test_checkpoints_come_as_asked_for_and_change_nothing(stages: StageClient) -> None:
    watcher = Watcher()
    with_checkpoints = await latents(stages, values(checkpoint_every_steps=2), watcher)
    assert [*watcher.checkpoints] == [2, 4]
    assert with_checkpoints == await latents(stages, values())


async def test_by_time_too(stages: StageClient) -> None:
    watcher = Watcher()
    await latents(stages, values(checkpoint_every_seconds=1e-6), watcher)
    assert [*watcher.checkpoints] == [1, 2, 3, 4, 5]


async def test_a_checkpoint_of_other_work_is_refused(stages: StageClient) -> None:
    watcher = Watcher()
    await latents(stages, values(checkpoint_every_steps=3), watcher)
    with pytest.raises(CheckpointRefused):
        await latents(stages, values(seed=6, resume_from=watcher.checkpoints[3]))


async def test_what_is_given_up_frees_the_stage_at_the_next_step(stages: StageClient) -> None:
    watcher = Watcher()
    work = asyncio.create_task(latents(stages, values(num_inference_steps=10_000), watcher))
    async with asyncio.timeout(30):
        while not watcher.seen:
            await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    async with asyncio.timeout(5):
        await latents(stages, values())


async def test_what_fails_while_it_is_told_of_a_step_stops_the_stage(stages: StageClient) -> None:
    def refuse() -> None:
        raise RuntimeError("enough")

    watcher = Watcher(2, refuse)
    with pytest.raises((RuntimeError, OrreryError), match="enough"):
        await latents(stages, values(num_inference_steps=10_000), watcher)
    async with asyncio.timeout(5):
        await latents(stages, values())


@pytest.mark.parametrize("name", ["../etc/passwd", "orrery-/../x", "other"])
async def test_a_control_byte_lies_only_where_callers_keep_theirs(name: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        ControlByte(name)
    assert refusal.value.field == "control"


async def test_a_caller_that_took_its_control_byte_away_may_try_again() -> None:
    with pytest.raises(StageUnavailable):
        ControlByte("orrery-none-such")
