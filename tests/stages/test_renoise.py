"""The distilled Predict2: its sampler against a straight line of float64, from the request to the latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import CosmosTransformer3DModel
from safetensors.torch import load_file

from orrery.engines.eager import with_padding
from orrery.stages.samplers import make_sampler
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.catalog.predict2 import TINY_DISTILLED
from orrery.worlds.errors import InvalidField
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, settle
from stages.setting import IMAGE, Stages, run_plan

LEVELS = [80.0, 3.6, 1.5574, 0.684]


def network(folder: Path) -> Any:
    """Diffusers' own, which is given the padding channel with its input."""
    module = CosmosTransformer3DModel.from_config(CosmosTransformer3DModel.load_config(folder))
    module.load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"))
    module.register_to_config(concat_padding_mask=False)
    return module.eval()


@torch.inference_mode()
def straight_line(module: Any, text: np.ndarray, seed: int, steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """One estimate at each level, the noise of the seed put on it again: nothing else, and no guidance."""
    noise = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    levels = LEVELS[:steps]
    x = (noise * np.float32(levels[0])).astype(np.float64)
    for level, following in zip(levels, [*levels[1:], 0.0], strict=True):
        t = level / (1 + level)
        given = torch.from_numpy((x * (1 - t)).astype(np.float32))
        answer = module(
            hidden_states=given,
            timestep=torch.tensor([t], dtype=torch.float32),
            encoder_hidden_states=torch.from_numpy(text)[None],
            condition_mask=with_padding(None, given),
            return_dict=False,
        )[0]
        clean = (1 - t) * x - t * answer.double().numpy()
        x = clean + following * noise
    return x[0].astype(np.float32)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_request_gives_what_the_straight_line_gives(steps: int, stages: Stages, models_dir: Path) -> None:
    asked = RequestedWorld(prompt="a robot arm", seed=9, num_inference_steps=steps, size="96x96")
    done = run_plan(plan(settle(asked, TINY_DISTILLED, Workflow.TEXT2IMAGE), TINY_DISTILLED), stages, {})
    assert "encode_negative_text" not in done
    text = done["encode_text"]["text_embeddings"]
    expected = straight_line(network(models_dir / IMAGE), text, 9, steps, (1, 16, 1, 12, 12))
    np.testing.assert_allclose(done["denoise"]["latents"], expected, atol=2e-5, rtol=2e-5)


def test_a_perfect_estimate_is_the_result_from_the_first_step_on() -> None:
    clean, noise = torch.full((1, 16, 1, 2, 2), 0.3), torch.randn(1, 16, 1, 2, 2)
    levels: list[float] = []

    def predict(latents: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        levels.append(float(level))
        torch.testing.assert_close(latents, (clean if levels[1:] else 0) + float(level) * noise.double(), atol=1e-5, rtol=1e-5)
        return clean.double()

    sampler = make_sampler("renoise", 5)
    state = sampler.start(noise)
    while state.step < sampler.num_steps:
        state = sampler.advance(state, predict)
    assert levels == [*LEVELS, LEVELS[-1]]
    assert torch.equal(state.latents, clean.double())


@pytest.mark.parametrize("fields", [{"num_inference_steps": 5}, {"guidance_scale": 1.0}, {"sampler": "res_2ab"}])
def test_nothing_is_asked_of_a_distilled_network_that_it_was_not_made_for(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidField) as refusal:
        settle(RequestedWorld.model_validate({"prompt": "x"} | fields), TINY_DISTILLED, Workflow.TEXT2IMAGE)
    assert refusal.value.field in fields
