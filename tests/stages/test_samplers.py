"""Samplers against independent arithmetic and against distributions whose probability flow is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from orrery.stages.predictions import PREDICTIONS, TrigFlow, Velocity
from orrery.stages.samplers import SAMPLERS, Predict, PredictX0, Sampler, SamplerState, make_sampler
from orrery.worlds.errors import InvalidField

SIGMA_MAX, SIGMA_MIN = 80.0, 0.002
MODES = ((0.35, -1.0, 0.3), (0.65, 0.8, 0.45))
"""Weight, mean and deviation of each Gaussian of the mixture."""

Denoise = Callable[[np.ndarray, float], np.ndarray]
NOISE = torch.linspace(-2.0, 2.0, 33).reshape(1, 1, 1, 3, 11)


def gaussian_x0(x: np.ndarray, sigma: float) -> np.ndarray:
    """E[x0 | x] where x0 is normal with mean 0.4 and deviation 0.5."""
    return (0.25 * x + sigma**2 * 0.4) / (0.25 + sigma**2)


def gaussian_flow(x: np.ndarray, sigma: float) -> np.ndarray:
    """Where the probability flow from `SIGMA_MAX` is at `sigma`: the distance to the mean shrinks with the deviation."""
    return 0.4 + (x - 0.4) * math.sqrt((0.25 + sigma**2) / (0.25 + SIGMA_MAX**2))


def mixture_x0(x: np.ndarray, sigma: float) -> np.ndarray:
    """E[x0 | x] for the mixture: each mode's own estimate, weighted by how likely the mode is."""
    likelihoods, estimates = [], []
    for weight, mean, deviation in MODES:
        likelihoods.append(weight * norm.pdf(x, mean, math.hypot(deviation, sigma)))
        estimates.append((deviation**2 * x + sigma**2 * mean) / (deviation**2 + sigma**2))
    return np.average(estimates, axis=0, weights=likelihoods)


def mixture_flow(x: np.ndarray, sigma: float) -> np.ndarray:
    """In one dimension the flow keeps quantiles: the point with as much mass to its left as `x` has at `SIGMA_MAX`."""

    def mass(point: float, level: float) -> float:
        return sum(w * norm.cdf(point, mean, math.hypot(deviation, level)) for w, mean, deviation in MODES)

    def follow(start: float) -> float:
        target = mass(start, SIGMA_MAX)
        return brentq(lambda point: mass(point, sigma) - target, -10, 10, xtol=1e-14, rtol=1e-14)

    return np.vectorize(follow)(x)


DISTRIBUTIONS = {"gaussian": (gaussian_x0, gaussian_flow), "mixture": (mixture_x0, mixture_flow)}


def predictor(x0: Denoise) -> PredictX0:
    return lambda latents, sigma: torch.from_numpy(x0(latents.double().numpy(), sigma.item())).to(latents.dtype)


def velocity(x0: Denoise) -> Predict:
    """At level t of x = (1 - t) x0 + t noise, which is (1 - t) times x0 with noise of deviation t / (1 - t)."""

    def predict(latents: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        clean = predictor(x0)(latents / (1 - level), level / (1 - level))
        return (latents - clean) / level

    return predict


def angular(x0: Denoise) -> Predict:
    """At the angle a of x = cos(a) x0 + sin(a) noise."""
    return lambda latents, angle: predictor(x0)(latents / torch.cos(angle), torch.tan(angle))


def network(name: str, x0: Denoise) -> Predict:
    """The kind of prediction that the sampler wants."""
    kind = PREDICTIONS[name]
    if issubclass(kind, Velocity):
        return velocity(x0)
    return angular(x0) if issubclass(kind, TrigFlow) else predictor(x0)


def sample(sampler: Sampler, predict: Predict, state: SamplerState | None = None) -> list[SamplerState]:
    """Every state from the first (or the one given) to the last."""
    states = [sampler.start(NOISE) if state is None else state]
    while states[-1].step < sampler.num_steps:
        states.append(sampler.advance(states[-1], predict))
    return states


def error(name: str, num_steps: int, x0: Denoise, flow: Callable[[np.ndarray, float], np.ndarray]) -> float:
    """Mean absolute distance of the result from the exact solution."""
    states = sample(make_sampler(name, num_steps), predictor(x0))
    exact = flow(states[0].latents.double().numpy(), 0.0 if name == "edm_euler" else SIGMA_MIN)
    if name == "res_2ab":
        exact = x0(exact, SIGMA_MIN)  # its result is the estimate at the end of the flow
    return float(np.abs(states[-1].latents.double().numpy() - exact).mean())


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(("name", "order", "tolerance"), [("euler", 1, 0.1), ("edm_euler", 1, 0.1), ("res_2ab", 2, 0.2)])
def test_order_of_convergence(name: str, order: int, tolerance: float, distribution: str) -> None:
    steps = np.array([40, 80, 160, 320])
    errors = [error(name, int(count), *DISTRIBUTIONS[distribution]) for count in steps]
    measured = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert measured == pytest.approx(order, abs=tolerance), errors
    assert errors[-1] < {1: 1e-2, 2: 3e-4}[order]


def by_quadrature(noise: np.ndarray, num_steps: int, x0: Denoise) -> np.ndarray:
    """RES-2AB from its definition: e^(s-h) against the line through the last two estimates, integrated numerically."""
    roots = [SIGMA_MAX ** (1 / 7) * (1 - i / num_steps) + SIGMA_MIN ** (1 / 7) * i / num_steps for i in range(num_steps + 1)]
    sigmas = [root**7 for root in roots]
    x = noise * SIGMA_MAX
    estimates: list[np.ndarray] = []
    for i in range(num_steps):
        estimates.append(x0(x, sigmas[i]))
        h = math.log(sigmas[i] / sigmas[i + 1])
        if i == 0:
            share = quad(lambda s, h=h: math.exp(s - h), 0, h, epsabs=1e-14)[0]
            x = math.exp(-h) * x + share * estimates[0]
            continue
        back = math.log(sigmas[i] / sigmas[i - 1])  # negative: how far before this step the previous estimate was made
        newest = quad(lambda s, h=h, back=back: math.exp(s - h) * (1 - s / back), 0, h, epsabs=1e-14)[0]
        previous = quad(lambda s, h=h, back=back: math.exp(s - h) * s / back, 0, h, epsabs=1e-14)[0]
        x = math.exp(-h) * x + newest * estimates[-1] + previous * estimates[-2]
    return x0(x, sigmas[-1])


@pytest.mark.parametrize("num_steps", [1, 2, 3, 10, 35])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_res_2ab_is_the_exponential_integrator(num_steps: int, distribution: str) -> None:
    x0, _ = DISTRIBUTIONS[distribution]
    ours = sample(make_sampler("res_2ab", num_steps), predictor(x0))[-1].latents
    theirs = by_quadrature((NOISE * SIGMA_MAX).double().numpy() / SIGMA_MAX, num_steps, x0)
    assert ours.dtype == torch.float64
    assert np.abs(ours.numpy() - theirs).max() < 1e-10


def test_res_2ab_takes_one_evaluation_more_than_steps() -> None:
    seen: list[float] = []

    def predict_x0(latents: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        seen.append(sigma.item())
        return torch.zeros_like(latents)

    sample(make_sampler("res_2ab", 35), predict_x0)
    assert len(seen) == 36
    assert seen == sorted(seen, reverse=True)
    assert (seen[0], seen[-1]) == (pytest.approx(SIGMA_MAX), pytest.approx(SIGMA_MIN))


@pytest.mark.parametrize("name", SAMPLERS)
def test_any_stored_state_goes_on_to_the_same_bits(name: str) -> None:
    sampler, predict = make_sampler(name, 8), network(name, mixture_x0)
    states = sample(sampler, predict)
    for state in states:
        restored = SamplerState.from_tensors(load(save(state.to_tensors())))
        assert restored.step == state.step
        resumed = sample(sampler, predict, restored)
        assert torch.equal(resumed[-1].latents, states[-1].latents)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_leaves_its_state_alone(name: str) -> None:
    sampler, predict = make_sampler(name, 3), network(name, gaussian_x0)
    state = sampler.advance(sampler.start(NOISE), predict)
    before = {key: tensor.clone() for key, tensor in state.to_tensors().items()}
    once, again = sampler.advance(state, predict), sampler.advance(state, predict)
    assert torch.equal(once.latents, again.latents)
    assert all(torch.equal(before[key], tensor) for key, tensor in state.to_tensors().items())


@pytest.mark.parametrize(("name", "steps", "field"), [("ddim", 5, "sampler"), ("euler", 0, "num_inference_steps")])
def test_what_cannot_sample_is_refused(name: str, steps: int, field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        make_sampler(name, steps)
    assert refusal.value.field == field
