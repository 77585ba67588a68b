"""Euler steps as the diffusers pipelines of Predict2 take them, for parity with those."""

from __future__ import annotations

import torch

from orrery.stages.samplers.sampler import PredictX0, SamplerState
from orrery.stages.samplers.sigmas import SIGMA_MAX, karras_sigmas


class Euler:
    """dx/dsigma = (x - x0) / sigma in FP32, as `FlowMatchEulerDiscreteScheduler` with Karras sigmas.

    The pipelines repeat the last sigma, so the last step changes nothing and what comes out still has noise of sigma_min. It
    is taken all the same: its estimate of the clean latents is the best there is.
    """

    def __init__(self, num_inference_steps: int):
        self.num_steps = num_inference_steps
        sigmas = torch.from_numpy(karras_sigmas(num_inference_steps)).float()
        self._sigmas = torch.cat([sigmas, sigmas[-1:]])

    def start(self, noise: torch.Tensor) -> SamplerState:
        """See `Sampler`."""
        return SamplerState(0, noise * SIGMA_MAX)

    def advance(self, state: SamplerState, predict_x0: PredictX0) -> SamplerState:
        """See `Sampler`."""
        sigma, next_sigma = self._sigmas[state.step], self._sigmas[state.step + 1]
        x0 = predict_x0(state.latents, sigma)
        velocity = (state.latents - x0) / sigma
        return SamplerState(state.step + 1, state.latents + (next_sigma - sigma) * velocity, x0)
