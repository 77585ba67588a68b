"""The few-step sampler of the distilled Predict2: a clean estimate, noise again but less of it, a clean estimate."""

from __future__ import annotations

import torch

from orrery.stages.samplers.sampler import PredictX0, SamplerState

SIGMAS = (80.0, 3.6, 1.5574, 0.684)
"""The noise levels that the networks were distilled at. Fewer steps take the first of them, more stay at the last."""


class Renoise:
    """x = x0(x, sigma) + next sigma * noise in FP64; the last step's x0 is the result. The noise is drawn once.

    The levels are those of the official text2image script. Its code was not to be had: that the first levels are taken, and the
    same noise at each, is as in NVIDIA's other distilled networks, whose code was.
    """

    def __init__(self, num_inference_steps: int):
        self.num_steps = num_inference_steps
        beyond = (SIGMAS[-1],) * (num_inference_steps - len(SIGMAS))
        self._sigmas = (*SIGMAS[:num_inference_steps], *beyond, 0.0)

    def start(self, noise: torch.Tensor) -> SamplerState:
        """See `Sampler`."""
        return SamplerState(0, (noise * self._sigmas[0]).double(), history={"noise": noise})

    def advance(self, state: SamplerState, predict_x0: PredictX0) -> SamplerState:
        """See `Sampler`."""
        x0 = predict_x0(state.latents, torch.tensor(self._sigmas[state.step], dtype=torch.float64))
        noise = state.history["noise"]
        return SamplerState(state.step + 1, x0 + self._sigmas[state.step + 1] * noise, x0, {"noise": noise})
