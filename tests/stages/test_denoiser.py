from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import CosmosTransformer3DModel

from orrery.engines.eager import EagerEngine
from orrery.engines.weights import load_module
from orrery.stages.arrays import to_tensor
from orrery.stages.denoiser import official_noise
from orrery.stages.predictions import PREDICTIONS, RectifiedFlow
from orrery.stages.samplers import SAMPLERS, SamplerState, make_sampler
from orrery.stages.stage import Cancelled, StageSettings
from orrery.worlds.errors import InvalidField
from stages.samplers import still
from stages.setting import IMAGE, TEXT_ENCODER, VIDEO_TOKENIZER, WORLD, PlainCall, Stages, clip

STEPS = 4


@pytest.fixture(scope="module")
def texts(stages: Stages) -> dict[str, np.ndarray]:
    prompts = {"text_embeddings": "A robot arm", "negative_text_embeddings": "blurry"}
    encoder, call = stages["text_encoder"], PlainCall(stages)
    return {
        name: encoder.run({"component": TEXT_ENCODER, "prompt": prompt}, call)["text_embeddings"]
        for name, prompt in prompts.items()
    }


@pytest.fixture(scope="module")
def condition(stages: Stages) -> np.ndarray:
    values = {"component": VIDEO_TOKENIZER, "frames": clip(5, 96, 96), "height": 96, "width": 96}
    return stages["video_encoder"].run(values, PlainCall(stages))["latents"]


def image_values(texts: dict[str, np.ndarray], **changed: Any) -> dict[str, Any]:
    values = {
        "component": IMAGE,
        "latent_shape": np.array([1, 12, 12], np.int32),
        "seed": 3,
        "num_inference_steps": STEPS,
        "guidance_scale": 4.0,
        "sampler": "res_2ab",
    }
    component = {"component": still(changed.get("sampler", "res_2ab"))}
    return values | component | texts | changed


def world_values(texts: dict[str, np.ndarray], condition: np.ndarray, **changed: Any) -> dict[str, Any]:
    world = {"component": WORLD, "latent_shape": np.array([4, 12, 12], np.int32), "condition_latents": condition}
    return image_values(texts, **(world | changed))


def test_noise_is_the_official_one() -> None:
    noise = official_noise(0, (1, 16, 2, 3, 4))
    assert noise.dtype == torch.float32
    assert noise.flatten()[:3].tolist() == np.float32([1.764052345967664, 0.4001572083672233, 0.9787379841057392]).tolist()


@pytest.mark.parametrize("sampler", [name for name, kind in PREDICTIONS.items() if kind is RectifiedFlow])
def test_the_first_evaluation_sees_scaled_noise(sampler: str, texts: dict[str, np.ndarray], bls_stages: Stages) -> None:
    call = PlainCall(bls_stages)
    bls_stages["denoiser"].run(image_values(texts, sampler=sampler), call)
    first = call.inferred[0][1]
    assert first["timestep"].ravel() == pytest.approx(80 / 81)
    np.testing.assert_allclose(first["hidden_states"], official_noise(3, (1, 16, 1, 12, 12)) * 80 / 81, rtol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_step_is_reported_once(sampler: str, texts: dict[str, np.ndarray], stages: Stages, call: PlainCall) -> None:
    latents = stages["denoiser"].run(image_values(texts, sampler=sampler), call)["latents"]
    count = make_sampler(sampler, STEPS).num_steps
    assert call.reports == [{"step": i + 1, "num_steps": count} for i in range(count)]
    assert (latents.dtype, latents.shape) == (np.float32, (16, 1, 12, 12))
    assert np.isfinite(latents).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("done", range(STEPS))
def test_cancellation_stops_at_the_next_step(sampler: str, done: int, texts: dict[str, np.ndarray], bls_stages: Stages) -> None:
    call = PlainCall(bls_stages, steps_allowed=done)
    with pytest.raises(Cancelled):
        bls_stages["denoiser"].run(image_values(texts, sampler=sampler), call)
    assert len(call.reports) == done
    assert len(call.inferred) == 2 * done, "one evaluation per text and step"


def test_frames_that_are_given_stay(
    texts: dict[str, np.ndarray], condition: np.ndarray, stages: Stages, call: PlainCall
) -> None:
    latents = stages["denoiser"].run(world_values(texts, condition), call)["latents"]
    assert condition.shape == (16, 2, 12, 12)
    assert np.array_equal(latents[:, :2], condition)
    assert np.abs(latents[:, 2:]).max() > 1


def test_the_network_is_told_which_frames_are_given(
    texts: dict[str, np.ndarray], condition: np.ndarray, bls_stages: Stages
) -> None:
    call = PlainCall(bls_stages)
    bls_stages["denoiser"].run(world_values(texts, condition), call)
    for _, values in call.inferred:
        assert values["condition_mask"][0, 0, :, 0, 0].tolist() == [1, 1, 0, 0]
        assert values["timestep"][0, 0, :2].ravel() == pytest.approx(1e-4 / (1 + 1e-4))
        assert np.array_equal(values["hidden_states"][0, :, :2], condition)
    made = [values["timestep"][0, 0, -1, 0, 0] for _, values in call.inferred]
    assert made[::2] == made[1::2], "both texts at one noise level"
    assert made[::2] == sorted(set(made), reverse=True), "a lower one at each step"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_transformer_as_a_stage_gives_the_same_bits(
    sampler: str, texts: dict[str, np.ndarray], condition: np.ndarray, stages: Stages, bls_stages: Stages
) -> None:
    # A world of one latent frame is where a timestep per frame and one for all have the same number of values.
    one_frame = {"condition_latents": condition[:, :1], "latent_shape": np.array([1, 12, 12], np.int32)}
    for values in (
        image_values(texts, sampler=sampler),
        world_values(texts, condition, sampler=sampler, rope_fps=16.0),
        world_values(texts, condition, sampler=sampler, **one_frame),
    ):
        call = PlainCall(bls_stages)
        in_process = stages["denoiser"].run(values, PlainCall(stages))["latents"]
        assert np.array_equal(in_process, bls_stages["denoiser"].run(values, call)["latents"])
        assert {stage for stage, _ in call.inferred} == {"transformer"}


def test_same_input_same_bytes(texts: dict[str, np.ndarray], condition: np.ndarray, settings: StageSettings) -> None:
    values = world_values(texts, condition)
    results = [Stages(settings)["denoiser"].run(values, PlainCall({}))["latents"].tobytes() for _ in range(2)]
    other_seed = Stages(settings)["denoiser"].run(values | {"seed": 4}, PlainCall({}))["latents"].tobytes()
    assert results[0] == results[1]
    assert results[0] != other_seed


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampling_with_the_network_goes_on_from_any_step(
    sampler: str, texts: dict[str, np.ndarray], condition: np.ndarray, settings: StageSettings, stages: Stages, call: PlainCall
) -> None:
    values = world_values(texts, condition, sampler=sampler)
    whole = stages["denoiser"].run(values, call)["latents"]
    noise = official_noise(3, (1, 16, 4, 12, 12))
    predict = PREDICTIONS[sampler](
        engine=EagerEngine(settings.models_dir / WORLD, torch.device("cpu")),
        text=torch.from_numpy(texts["text_embeddings"])[None],
        negative_text=torch.from_numpy(texts["negative_text_embeddings"])[None],
        guidance_scale=4.0,
        condition=torch.from_numpy(condition)[None],
        rope_fps=None,
        check_cancelled=call.check_cancelled,
        noise=noise,
        seed=3,
        num_inference_steps=STEPS,
    )
    state = make_sampler(sampler, STEPS).start(noise)
    for _ in range(make_sampler(sampler, STEPS).num_steps):  # a new process at every step: only the stored state goes over
        restored = predict.entering(SamplerState.from_tensors(state.to_tensors()))
        state = make_sampler(sampler, STEPS).advance(restored, predict)
    assert np.array_equal(state.latents[0].float().numpy() / predict.data_deviation, whole)


def misplaced(array: np.ndarray) -> np.ndarray:
    """The same values at an address that no allocator would choose, and read-only, as shared memory may be."""
    buffer = bytes(4) + array.tobytes()
    return np.frombuffer(buffer, array.dtype, offset=4).reshape(array.shape)


def test_where_the_input_lies_in_memory_does_not_matter(
    texts: dict[str, np.ndarray], condition: np.ndarray, stages: Stages, call: PlainCall
) -> None:
    values = world_values(texts, condition)
    moved = {name: misplaced(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}
    latents, again = (stages["denoiser"].run(given, call)["latents"] for given in (values, moved))
    assert np.array_equal(latents, again)
    assert to_tensor(moved["text_embeddings"], torch.device("cpu")).data_ptr() % 64 == 0


@pytest.mark.parametrize("component", [IMAGE, WORLD])
def test_where_weights_lie_in_their_file_does_not_matter(component: str, settings: StageSettings) -> None:
    """Seen before they were copied: text2image, whose file has another header length, was 1e-5 away from diffusers."""
    module = load_module(CosmosTransformer3DModel, settings.models_dir / component, torch.device("cpu"))
    assert {parameter.data_ptr() % 64 for parameter in module.parameters()} == {0}


def test_the_text_tells(texts: dict[str, np.ndarray], stages: Stages, call: PlainCall) -> None:
    swapped = {"text_embeddings": texts["negative_text_embeddings"], "negative_text_embeddings": texts["text_embeddings"]}
    one, other = (stages["denoiser"].run(image_values(given), call)["latents"] for given in (texts, swapped))
    assert np.abs(one - other).max() > 0.1


def test_an_unknown_sampler_is_refused(texts: dict[str, np.ndarray], stages: Stages, call: PlainCall) -> None:
    with pytest.raises(InvalidField, match="ddim"):
        stages["denoiser"].run(image_values(texts) | {"sampler": "ddim"}, call)
