"""A run that is interrupted anywhere, and goes on in another process, ends with the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from orrery.stages.checkpoints import Cadence, pack, unpack
from orrery.stages.denoiser import Denoiser
from orrery.stages.samplers import SamplerState, make_sampler
from orrery.stages.stage import YIELDED_VALUES, StageSettings
from orrery.worlds.errors import CheckpointRefused
from stages.samplers import ONE_OF_EACH, still
from stages.setting import IMAGE, TEXT_ENCODER, VIDEO_TOKENIZER, WORLD, PlainCall, Stages, clip

STEPS = 5
WORKFLOWS = ("text2image", "text2image unguided", "video2world")


@pytest.fixture(scope="module")
def requests(stages: Stages) -> dict[str, dict[str, Any]]:
    """Values of one small request of each workflow."""
    call = PlainCall(stages)

    def text(prompt: str) -> np.ndarray:
        return stages["text_encoder"].run({"component": TEXT_ENCODER, "prompt": prompt}, call)["text_embeddings"]

    frames = {"component": VIDEO_TOKENIZER, "frames": clip(5, 96, 96), "height": 96, "width": 96}
    unguided = {
        "component": IMAGE,
        "latent_shape": np.array([1, 12, 12], np.int32),
        "seed": 3,
        "num_inference_steps": STEPS,
        "guidance_scale": 4.0,
        "sampler": "res_2ab",
        "text_embeddings": text("A robot arm"),
    }
    image = unguided | {"negative_text_embeddings": text("blurry")}
    world = {"component": WORLD, "latent_shape": np.array([4, 12, 12], np.int32)}
    world["condition_latents"] = stages["video_encoder"].run(frames, call)["latents"]
    return dict(zip(WORKFLOWS, (image, unguided, image | world), strict=True))


def sampled(values: dict[str, Any], sampler: str) -> dict[str, Any]:
    """The request by that sampler, and a transformer that goes with it."""
    component = {"component": still(sampler)} if values["component"] == IMAGE else {}
    return values | {"sampler": sampler} | component


def denoise(settings: StageSettings, values: dict[str, Any], **wishes: Any) -> tuple[dict[str, Any], PlainCall]:
    """In stages made for this one run, as a new process would."""
    call = PlainCall({}, **wishes)
    return dict(Stages(settings)["denoiser"].run(values, call)), call


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize("sampler", ONE_OF_EACH)
def test_interrupted_at_every_step_the_result_is_the_same(
    sampler: str, workflow: str, requests: dict[str, dict[str, Any]], settings: StageSettings
) -> None:
    values, count = sampled(requests[workflow], sampler), make_sampler(sampler, STEPS).num_steps
    whole, _ = denoise(settings, values)
    for step in range(1, count):
        yielded, before = denoise(settings, values, yields_after=step)
        assert yielded == YIELDED_VALUES
        assert [*before.checkpoints] == [step]
        resumed, after = denoise(settings, values | {"resume_from": before.checkpoints[step]})
        assert [report["step"] for report in after.reports] == list(range(step + 1, count + 1))
        assert resumed["latents"].tobytes() == whole["latents"].tobytes()


@pytest.mark.parametrize("sampler", ONE_OF_EACH)
def test_interrupted_after_each_step_in_turn_the_result_is_the_same(
    sampler: str, requests: dict[str, dict[str, Any]], settings: StageSettings
) -> None:
    values = sampled(requests["video2world"], sampler)
    whole, _ = denoise(settings, values)
    given = dict(values)
    for step in range(1, make_sampler(sampler, STEPS).num_steps):
        outputs, call = denoise(settings, given, yields_after=1)
        assert outputs == YIELDED_VALUES
        given["resume_from"] = call.checkpoints[step]
    assert denoise(settings, given)[0]["latents"].tobytes() == whole["latents"].tobytes()


def test_the_last_step_is_the_end_whoever_asks_for_the_device(
    requests: dict[str, dict[str, Any]], settings: StageSettings
) -> None:
    outputs, call = denoise(settings, requests["text2image"], yields_after=STEPS)
    assert outputs["latents"].shape == (16, 1, 12, 12)
    assert call.checkpoints == {}


def test_asked_before_the_first_step_nothing_is_run_and_nothing_new_is_kept(
    requests: dict[str, dict[str, Any]], settings: StageSettings
) -> None:
    outputs, call = denoise(settings, requests["text2image"], yields_after=0)
    assert (outputs, call.reports) == (YIELDED_VALUES, [])


@pytest.mark.parametrize("sampler", ONE_OF_EACH)
def test_checkpoints_on_the_way_change_nothing_and_each_leads_to_the_same_end(
    sampler: str, requests: dict[str, dict[str, Any]], settings: StageSettings
) -> None:
    values = sampled(requests["text2image"], sampler)
    whole, plain = denoise(settings, values)
    kept, call = denoise(settings, values | {"checkpoint_every_steps": 2})
    assert (plain.checkpoints, [*call.checkpoints]) == ({}, [2, 4])
    assert kept["latents"].tobytes() == whole["latents"].tobytes()
    for checkpoint in call.checkpoints.values():
        resumed, _ = denoise(settings, values | {"resume_from": checkpoint})
        assert resumed["latents"].tobytes() == whole["latents"].tobytes()


@pytest.mark.parametrize(
    ("steps", "seconds", "expected"),
    [(0, 0.0, []), (2, 0.0, [2, 4]), (3, 0.0, [3]), (0, 20.0, [2, 4]), (3, 20.0, [2, 4]), (1, 1000.0, [1, 2, 3, 4])],
)
def test_a_checkpoint_is_due_by_steps_or_seconds_whichever_comes_first(
    steps: int, seconds: float, expected: list[int], requests: dict[str, dict[str, Any]], settings: StageSettings
) -> None:
    call = PlainCall({})
    denoiser = Denoiser(settings, clock=lambda: 10.0 * max(call.looks - 1, 0))  # ten seconds a step
    policy = {"checkpoint_every_steps": steps, "checkpoint_every_seconds": seconds}
    denoiser.run(requests["text2image"] | policy, call)
    assert [*call.checkpoints] == expected


def test_a_cadence_counts_from_the_last_checkpoint() -> None:
    now = [0.0]
    cadence = Cadence(step=7, steps=4, seconds=30.0, clock=lambda: now[0])
    assert [cadence.due(step) for step in (8, 10, 11)] == [False, False, True]
    now[0] = 30.0
    assert cadence.due(8)
    cadence.taken(8)
    assert [cadence.due(step) for step in (9, 11, 12)] == [False, False, True]
    now[0] = 59.9
    assert not cadence.due(9)


OTHER_WORK: dict[str, Any] = {
    "sampler": "euler",
    "num_inference_steps": STEPS + 1,
    "seed": 4,
    "guidance_scale": 5.0,
    "latent_shape": np.array([1, 12, 14], np.int32),
    "component": WORLD,
    "rope_fps": 16.0,
    "text_embeddings": np.zeros((4, 32), np.float32),
}


@pytest.fixture(scope="module")
def checkpoint(requests: dict[str, dict[str, Any]], settings: StageSettings) -> np.ndarray:
    return denoise(settings, requests["text2image"], yields_after=2)[1].checkpoints[2]


@pytest.mark.parametrize("changed", OTHER_WORK)
def test_a_checkpoint_of_other_work_is_refused(
    changed: str, checkpoint: np.ndarray, requests: dict[str, dict[str, Any]], stages: Stages
) -> None:
    values = requests["text2image"] | {changed: OTHER_WORK[changed], "resume_from": checkpoint}
    with pytest.raises(CheckpointRefused, match="other work"):
        stages["denoiser"].run(values, PlainCall(stages))


def test_a_number_is_the_same_however_it_is_written(
    checkpoint: np.ndarray, requests: dict[str, dict[str, Any]], stages: Stages
) -> None:
    values = requests["text2image"] | {"guidance_scale": 4, "latent_shape": [1, 12, 12], "resume_from": checkpoint}
    call = PlainCall(stages)
    stages["denoiser"].run(values, call)
    assert [report["step"] for report in call.reports] == [3, 4, 5]


@pytest.mark.parametrize("data", [b"", b"nonsense", save({"latents": np.zeros(3)})], ids=["nothing", "noise", "unmarked"])
def test_what_is_no_checkpoint_is_refused(data: bytes, requests: dict[str, dict[str, Any]], stages: Stages) -> None:
    values = requests["text2image"] | {"resume_from": np.frombuffer(data, np.uint8)}
    with pytest.raises(CheckpointRefused):
        stages["denoiser"].run(values, PlainCall(stages))


def test_a_checkpoint_keeps_every_bit_and_lies_where_torch_wants_it() -> None:
    latents, previous = torch.randn(2, 1, 16, 3, 5, 7, dtype=torch.float64)
    state = unpack(pack(SamplerState(3, latents, previous.float()), b"x" * 32), b"x" * 32, torch.device("cpu"))
    assert state.step == 3
    assert state.previous_x0 is not None
    assert (state.latents.dtype, state.previous_x0.dtype) == (torch.float64, torch.float32)
    assert torch.equal(state.latents, latents)
    assert torch.equal(state.previous_x0, previous.float())
    assert {tensor.data_ptr() % 64 for tensor in (state.latents, state.previous_x0)} == {0}


def test_a_checkpoint_is_safetensors(checkpoint: np.ndarray) -> None:
    assert {name: str(tensor.dtype) for name, tensor in load(checkpoint.tobytes()).items()} == {
        "identity": "uint8",
        "latents": "float64",
        "previous_x0": "float64",
        "step": "int64",
    }
