"""RES-2AB: the official sampler of Predict2, exponential Adams-Bashforth of second order."""

from __future__ import annotations

import math

import torch

from orrery.stages.samplers.sampler import PredictX0, SamplerState
from orrery.stages.samplers.sigmas import SIGMA_MAX, karras_sigmas


class Res2AB:
    """Solves dx/dlambda = x0(x) - x, lambda = -ln sigma, in FP64, as the official `RectifiedFlowAB2Scheduler`.

    Each step integrates exactly the line through the last two estimates of x0 (Zhang and Chen 2023, "Fast sampling of
    diffusion models with exponential integrator"; Zhang et al. 2023, "Improved order analysis and design of exponential
    integrator for diffusion models sampling"). The first step, with one estimate, is Euler's. The last step also evaluates x0
    once more at sigma_min, and that is the result: N steps cost N + 1 evaluations.
    """

    def __init__(self, num_inference_steps: int):
        self.num_steps = num_inference_steps
        self._sigmas: list[float] = karras_sigmas(num_inference_steps + 1).tolist()

    def start(self, noise: torch.Tensor) -> SamplerState:
        """See `Sampler`. Scaled in FP32 as the official script does, and FP64 from there."""
        return SamplerState(0, (noise * SIGMA_MAX).double())

    def advance(self, state: SamplerState, predict_x0: PredictX0) -> SamplerState:
        """See `Sampler`."""
        x0 = predict_x0(state.latents, self._sigma(state.step))
        latents = self._euler(state, x0) if state.previous_x0 is None else self._two_step(state, x0, state.previous_x0)
        step = state.step + 1
        if step == self.num_steps:
            latents = predict_x0(latents, self._sigma(step))
        return SamplerState(step, latents, x0)

    def _sigma(self, step: int) -> torch.Tensor:
        return torch.tensor(self._sigmas[step], dtype=torch.float64)

    def _euler(self, state: SamplerState, x0: torch.Tensor) -> torch.Tensor:
        ratio = self._sigmas[state.step + 1] / self._sigmas[state.step]
        return ratio * state.latents + (1 - ratio) * x0

    def _two_step(self, state: SamplerState, x0: torch.Tensor, previous_x0: torch.Tensor) -> torch.Tensor:
        previous, now, following = (-math.log(sigma) for sigma in self._sigmas[state.step - 1 : state.step + 2])
        dt = following - now
        weight, previous_weight = _weights(-dt, (previous - now) / dt)
        return math.exp(-dt) * state.latents + dt * (weight * x0 + previous_weight * previous_x0)


def _weights(z: float, c2: float) -> tuple[float, float]:
    """Weights of the newest and the previous estimate; `c2` is where the previous one lies, in steps from the newest."""
    phi1 = math.expm1(z) / z
    phi2 = (phi1 - 1) / z
    return phi1 - phi2 / c2, phi2 / c2
