"""Euler steps down a list of noise levels."""

from __future__ import annotations

import numpy as np
import torch

from orrery.stages.samplers.sampler import PredictX0, SamplerState
from orrery.stages.samplers.sigmas import SIGMA_MAX, karras_sigmas

EDM_SIGMA_MIN = 0.0002
"""Of Predict1's official script (cosmos-predict1, `model_t2w.py`)."""


class Euler:
    """dx/dsigma = (x - x0) / sigma in FP32, from each of `levels` to the next. Noise begins with the deviation `scale`."""

    def __init__(self, levels: torch.Tensor, scale: float):
        self.num_steps = len(levels) - 1
        self._levels = levels
        self._scale = scale

    def start(self, noise: torch.Tensor) -> SamplerState:
        """See `Sampler`."""
        return SamplerState(0, noise * self._scale)

    def advance(self, state: SamplerState, predict_x0: PredictX0) -> SamplerState:
        """See `Sampler`."""
        sigma, next_sigma = self._levels[state.step], self._levels[state.step + 1]
        x0 = predict_x0(state.latents, sigma)
        velocity = (state.latents - x0) / sigma
        return SamplerState(state.step + 1, state.latents + (next_sigma - sigma) * velocity, x0)


def diffusers_euler(num_inference_steps: int) -> Euler:
    """As the pipelines of Predict1 and Predict2, with `EDMEulerScheduler` and `FlowMatchEulerDiscreteScheduler`.

    The pipelines repeat the last sigma, so the last step changes nothing and what comes out still has noise of sigma_min. It
    is taken all the same: its estimate of the clean latents is the best there is.
    """
    levels = torch.from_numpy(karras_sigmas(num_inference_steps)).float()
    return Euler(torch.cat([levels, levels[-1:]]), SIGMA_MAX)


def edm_euler(num_inference_steps: int) -> Euler:
    """As Predict1's official script, by `EDMEulerScheduler(sigma_max=80, sigma_min=0.0002)`: the last step is the estimate.

    The first latents have the deviation of noise and data of unit deviation together, sqrt(80^2 + 1).
    """
    return Euler(edm_levels(num_inference_steps), (SIGMA_MAX**2 + 1) ** 0.5)


def edm_levels(num_inference_steps: int) -> torch.Tensor:
    """FP32: so many of Karras' levels, down to `EDM_SIGMA_MIN`, then 0."""
    levels = karras_sigmas(num_inference_steps, lowest=EDM_SIGMA_MIN)
    return torch.from_numpy(np.append(levels, 0.0)).float()
