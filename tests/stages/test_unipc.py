"""UniPC against diffusers' scheduler bit for bit, and against the published equations in FP64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler

from orrery.stages.predictions.velocity import LEVELS
from orrery.stages.samplers import SamplerState, karras_levels, make_sampler, shifted_levels
from orrery.stages.samplers.unipc import UniPC
from stages.test_samplers import DISTRIBUTIONS, NOISE, sample, velocity

KARRAS = {"use_karras_sigmas": True, "sigma_max": 200.0, "sigma_min": 0.01}
SHIFTED = {"flow_shift": 5.0}


def scheduler(name: str, num_steps: int) -> Any:
    """Diffusers' own, with as many evaluations as official code makes of `num_steps`, or as the pipeline makes."""
    settings = SHIFTED if name == "unipc_shifted" else KARRAS
    made = UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", **settings)
    if name == "unipc_shifted":
        made.set_timesteps(sigmas=np.linspace(0.9990000128746033, 0.0, num_steps + 1)[:-1])
    else:
        made.set_timesteps(num_steps + 1 if name == "unipc_karras" else num_steps)
    return made


def curved(latents: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """A velocity that nothing about is linear."""
    return torch.tanh(1.3 * latents) - 0.3 * latents * level + torch.sin(5 * latents)


@pytest.mark.parametrize("num_steps", [1, 2, 3, 10, 35, 36])
@pytest.mark.parametrize("name", ["unipc_karras", "unipc_shifted", "unipc_diffusers"])
def test_every_step_is_that_of_diffusers_bit_for_bit(name: str, num_steps: int) -> None:
    theirs, sampler = scheduler(name, num_steps), make_sampler(name, num_steps)
    latents = torch.randn(1, 16, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    state = sampler.start(latents)
    assert len(theirs.timesteps) == sampler.num_steps
    for sigma, timestep in zip(theirs.sigmas, theirs.timesteps, strict=False):
        latents = theirs.step(curved(latents, sigma), timestep, latents, return_dict=False)[0]
        state = sampler.advance(SamplerState.from_tensors(state.to_tensors()), curved)
        assert torch.equal(state.latents, latents)


@pytest.mark.parametrize("name", ["unipc_karras", "unipc_shifted"])
def test_levels_are_cut_to_the_timesteps_of_official_code(name: str) -> None:
    levels = {"unipc_karras": karras_levels, "unipc_shifted": shifted_levels}[name]
    for num_steps in range(1, 101):
        expected = scheduler(name, num_steps).timesteps
        rounded = torch.from_numpy(levels(len(expected)).astype(np.float32))
        assert torch.equal(torch.floor(rounded * LEVELS).long(), expected)


def karras_by_hand(count: int) -> list[float]:
    roots = [200 ** (1 / 7) + (0.01 ** (1 / 7) - 200 ** (1 / 7)) * i / max(count - 1, 1) for i in range(count)]
    return [root**7 / (1 + root**7) for root in roots]


def shifted_by_hand(count: int) -> list[float]:
    """The linear levels are those of 1000 training steps in FP32, the first of them 1 - 1/1000."""
    first = float(np.float32(1) - np.float32(0.001))
    linear = [first * (1 - i / count) for i in range(count)]
    return [5 * t / (1 + 4 * t) for t in linear]


SCHEDULES: dict[str, tuple[Callable[[int], Any], Callable[[int], list[float]]]] = {
    "karras": (karras_levels, karras_by_hand),
    "shifted": (shifted_levels, shifted_by_hand),
}


@pytest.mark.parametrize("count", [2, 4, 20, 35, 36])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_are_the_official_ones(schedule: str, count: int) -> None:
    ours, by_hand = SCHEDULES[schedule]
    assert ours(count).dtype == np.float64
    np.testing.assert_allclose(ours(count), by_hand(count), rtol=1e-13)


def by_the_paper(noise: np.ndarray, levels: list[float], predict: Callable[[np.ndarray, float], np.ndarray]) -> np.ndarray:
    """UniPC-2 with B2 for data prediction (Zhao et al. 2023, algorithms 7 and 8), in FP64, nothing simplified.

    Coefficients solve R a = g with R rows of powers of r and g of phi functions; `half` are those of the paper for one unknown.
    """
    x, corrected, estimates, stops = noise, noise, [], [*levels, 0.0]
    lam = [math.log((1 - t) / t) if t else math.inf for t in stops]
    for i, t in enumerate(levels):
        estimate = x - t * predict(x, t)
        if i:
            h, first = lam[i] - lam[i - 1], -(1 - t) * math.expm1(-(lam[i] - lam[i - 1]))
            base = t / stops[i - 1] * corrected + first * estimates[-1]
            ratios = [1.0] if i == 1 else [(lam[i - 2] - lam[i - 1]) / h, 1.0]
            others = [*estimates[-2:-1], estimate][-len(ratios) :]
            slopes = [(m - estimates[-1]) / r for m, r in zip(others, ratios, strict=True)]
            shares = [0.5] if i == 1 else np.linalg.solve([[1.0, 1.0], ratios], g_of(-h)).tolist()
            x = base + first * sum(a * slope for a, slope in zip(shares, slopes, strict=True))
        corrected, previous = x, estimates[-1] if estimates else None
        estimates.append(estimate)
        following = stops[i + 1]
        if following == 0:
            return estimate
        h = lam[i + 1] - lam[i]
        first = -(1 - following) * math.expm1(-h)
        x = following / t * corrected + first * estimate
        if previous is not None:
            ratio = (lam[i - 1] - lam[i]) / h
            x = x + first * 0.5 * (previous - estimate) / ratio
    raise AssertionError("there was no level")


def g_of(z: float) -> list[float]:
    """phi_{k+1}(z) k! over B(z) = e^z - 1, times z^k, for k = 1 and 2."""
    growth = math.expm1(z)
    phi2 = growth / z - 1
    return [phi2 / growth, 2 * (phi2 / z - 0.5) / growth]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("num_steps", [1, 2, 3, 5, 10, 35])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_is_the_published_solver(schedule: str, num_steps: int, distribution: str) -> None:
    x0, _ = DISTRIBUTIONS[distribution]
    levels, predict = SCHEDULES[schedule][0](num_steps), velocity(x0)

    def exact(latents: np.ndarray, level: float) -> np.ndarray:
        return predict(torch.from_numpy(latents), torch.tensor(level, dtype=torch.float64)).numpy()

    ours = sample(UniPC(levels), predict)[-1].latents
    theirs = by_the_paper(NOISE.double().numpy(), levels.tolist(), exact)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.double().numpy(), theirs, atol=3e-6)


def test_it_converges() -> None:
    """On a Gaussian the flow is known: the distance to the mean shrinks with the deviation, from first to last level."""
    x0, _ = DISTRIBUTIONS["gaussian"]
    steps, errors = (20, 40, 80), []
    for count in steps:
        levels = karras_levels(count)
        first, last = levels[0], levels[-1]
        end = (NOISE.double().numpy() - 0.4 * (1 - first)) / math.hypot((1 - first) * 0.5, first)
        exact = x0(0.4 + end * math.hypot(0.5, last / (1 - last)), last / (1 - last))
        errors.append(float(np.abs(sample(UniPC(levels), velocity(x0))[-1].latents.double().numpy() - exact).mean()))
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order > 2, errors
