"""What stands between Predict2.5's networks and their samplers, against straight-line references with a toy for a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from orrery.stages.denoiser import official_noise
from orrery.stages.predictions import PREDICTIONS, Prediction
from orrery.stages.samplers import make_sampler
from orrery.stages.samplers.trigflow import trigflow_angles

SHAPE = (1, 16, 4, 6, 6)
NOISE = official_noise(5, SHAPE)
GIVEN = torch.randn(1, 16, 2, 6, 6, generator=torch.Generator().manual_seed(2))
TEXT, NEGATIVE = torch.full((1, 3, 8), 0.7), torch.full((1, 3, 8), -0.2)


def toy(latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Depends on all that it is given; computes in the element type of the latents."""
    told = timestep.to(latents.dtype)
    return torch.sin(2 * latents + told) + text.mean().to(latents.dtype) * latents * (1 - told) - 0.1 * mask.to(latents.dtype)


@dataclass
class Toy:
    """An engine that keeps what it was asked."""

    asked: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def __call__(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        condition_mask: torch.Tensor | None,
        rope_fps: float | None,
    ) -> torch.Tensor:
        assert condition_mask is not None, "these networks always have the channel"
        assert rope_fps is None
        self.asked.append({"latents": hidden_states, "timestep": timestep, "mask": condition_mask})
        return toy(hidden_states, timestep, encoder_hidden_states, condition_mask)


def prediction(
    sampler: str, engine: Toy, *, given: torch.Tensor | None = None, guided: bool = False, timestep: float | None = None
) -> Prediction:
    return PREDICTIONS[sampler](
        engine=engine,
        text=TEXT,
        negative_text=NEGATIVE if guided else None,
        guidance_scale=3.0,
        condition=given,
        rope_fps=None,
        check_cancelled=lambda: None,
        noise=NOISE,
        conditional_timestep=timestep,
    )


def made(sampler: str, num_steps: int, predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    solver = make_sampler(sampler, num_steps)
    state = solver.start(NOISE)
    while state.step < solver.num_steps:
        state = solver.advance(state, predict)
    return state.latents


def distilled_by_hand(num_steps: int) -> np.ndarray:
    """The official loop for a network that predicts velocities, in the flow's own levels and FP64 throughout.

    The state cos(a) x0 + sin(a) noise, divided by cos(a) + sin(a), is (1 - t) x0 + t noise at t = 1 / (1 + cot(a)).
    """
    angles = [math.pi / 2, math.atan(15), math.atan(5), math.atan(5 / 3)][:num_steps]
    noise = NOISE.double()
    x0 = torch.zeros_like(noise)
    for angle in angles:
        t = 1 / (1 + 1 / math.tan(angle))
        flow = (1 - t) * x0 + t * noise
        x0 = flow - t * toy(flow, torch.tensor(t), TEXT, torch.zeros(1))
    return x0.numpy()


@pytest.mark.parametrize("num_steps", [1, 2, 3, 4])
def test_the_distilled_sampler_is_the_official_loop(num_steps: int) -> None:
    engine = Toy()
    ours = made("trigflow", num_steps, prediction("trigflow", engine))
    assert len(engine.asked) == num_steps
    assert [asked["mask"].max().item() for asked in engine.asked] == [0.0] * num_steps
    np.testing.assert_allclose(ours.numpy(), distilled_by_hand(num_steps), atol=2e-6)


def test_more_steps_than_were_distilled_are_spaced_alike() -> None:
    levels = [math.tan(angle) / (1 + math.tan(angle)) for angle in trigflow_angles(8)]
    unshifted = [level / (5 - 4 * level) for level in levels]
    assert unshifted == pytest.approx([1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    assert [math.tan(angle) for angle in trigflow_angles(4)][1:] == pytest.approx([15, 5, 5 / 3])


@pytest.mark.parametrize("sampler", ["unipc_karras", "unipc_shifted", "unipc_diffusers", "trigflow"])
def test_the_network_is_told_which_frames_are_given(sampler: str) -> None:
    engine = Toy()
    made(sampler, 4, prediction(sampler, engine, given=GIVEN, timestep=1e-4))
    for asked in engine.asked:
        assert asked["mask"][0, 0, :, 0, 0].tolist() == [1, 1, 0, 0]
        assert torch.equal(asked["latents"][:, :, :2], GIVEN)
        assert asked["timestep"].flatten()[:2].tolist() == pytest.approx([1e-4, 1e-4], rel=2e-4)
        assert asked["timestep"].dtype == torch.float32
    levels = [asked["timestep"].flatten()[-1].item() for asked in engine.asked]
    assert levels == sorted(set(levels), reverse=True)


def test_checkpoints_without_a_timestep_of_their_own_have_all_frames_at_one() -> None:
    engine = Toy()
    made("unipc_shifted", 3, prediction("unipc_shifted", engine, given=GIVEN))
    assert all(len(set(asked["timestep"].flatten().tolist())) == 1 for asked in engine.asked)


@pytest.mark.parametrize(("sampler", "cut"), [("unipc_karras", True), ("unipc_shifted", True), ("unipc_diffusers", False)])
def test_official_levels_are_whole_thousandths(sampler: str, *, cut: bool) -> None:
    engine = Toy()
    made(sampler, 5, prediction(sampler, engine))
    told = np.array([asked["timestep"].flatten()[0].item() for asked in engine.asked]) * 1000
    whole = np.abs(told - np.rint(told)) < 1e-3
    assert whole.all() if cut else not whole.any()
    assert len(told) == (6 if sampler == "unipc_karras" else 5)


NEARLY = {"unipc_karras": 5e-2, "unipc_shifted": 5e-2, "unipc_diffusers": 5e-2, "trigflow": 1e-6}
"""The way of UniPC begins at noise alone, which is a little beside the line from noise to the frames at its first level."""


@pytest.mark.parametrize("sampler", NEARLY)
def test_frames_that_are_given_come_out_as_they_went_in(sampler: str) -> None:
    """Their velocity is the noise less the frames, so the flow leads to them, and guidance moves no bit of them."""
    plain, guided = (made(sampler, 6, prediction(sampler, Toy(), given=GIVEN, guided=guided)) for guided in (False, True))
    assert torch.equal(plain[:, :, :2], guided[:, :, :2])
    assert (plain[:, :, :2] - GIVEN).abs().max() < NEARLY[sampler]
    assert not torch.equal(plain[:, :, 2:], guided[:, :, 2:])


def test_guidance_is_the_official_one() -> None:
    level = torch.tensor(0.5)
    conditional = toy(NOISE, level, TEXT, torch.zeros(1))
    unconditional = toy(NOISE, level, NEGATIVE, torch.zeros(1))
    guided = prediction("unipc_diffusers", Toy(), guided=True)(NOISE, level)
    assert torch.allclose(guided, conditional + 3.0 * (conditional - unconditional), atol=1e-6)
