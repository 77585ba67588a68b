"""The few-step sampler of the distilled Predict2.5: a clean estimate, the same noise again, a clean estimate."""

from __future__ import annotations

import math

import torch

from orrery.stages.samplers.sampler import Predict, SamplerState

SHIFT = 5.0
TRAINED_STEPS = 4


def trigflow_angles(num_steps: int) -> list[float]:
    """Where each step evaluates, as angles of x = cos(a) x0 + sin(a) noise, from noise alone (pi/2) down.

    The network was distilled at the four angles whose flow levels are 1, 3/4, 1/2 and 1/4, shifted by 5: fewer steps take the
    first of these, more steps as many levels in equal distances (cosmos-predict2.5, `video2world_model_distill_dmd2.py`).
    """
    count = max(num_steps, TRAINED_STEPS)
    levels = [SHIFT * t / (1 + (SHIFT - 1) * t) for t in (1 - i / count for i in range(num_steps))]
    return [math.atan2(level, 1 - level) for level in levels]


class TrigFlow:
    """FP64 between evaluations, FP32 into each, as official code. The noise is drawn once and used at every level."""

    def __init__(self, num_inference_steps: int):
        self.num_steps = num_inference_steps
        self._angles = [*trigflow_angles(num_inference_steps), 0.0]

    def start(self, noise: torch.Tensor) -> SamplerState:
        """See `Sampler`."""
        return SamplerState(0, noise.double(), history={"noise": noise})

    def advance(self, state: SamplerState, predict_x0: Predict) -> SamplerState:
        """See `Sampler`. The level is the angle."""
        x0 = predict_x0(state.latents.float().double(), torch.tensor(self._angles[state.step], dtype=torch.float64))
        following = self._angles[state.step + 1]
        noise = state.history["noise"]
        latents = math.cos(following) * x0 + math.sin(following) * noise
        return SamplerState(state.step + 1, latents, x0, {"noise": noise})
