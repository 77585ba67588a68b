"""The distilled Predict2.5: a rectified flow's network behind angles."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from orrery.stages.predictions.prediction import Prediction
from orrery.stages.predictions.rectified_flow import SIGMA_CONDITIONAL


@dataclass(frozen=True)
class TrigFlow(Prediction):
    """Estimates clean latents from x = cos(a) x0 + sin(a) noise. The level is the angle a.

    x / (cos(a) + sin(a)) is a state of the flow at t = sin(a) / (cos(a) + sin(a)). That and t are what the network is given,
    and x0 = x / (cos(a) + sin(a)) - t F (cosmos-predict2.5, `RectifiedFlow_sCMWrapper`). Conditioning frames replace the
    network's input and the estimate.
    """

    def estimate(self, latents: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """See `Prediction`."""
        scale = 1 / (torch.cos(level) + torch.sin(level))
        t = torch.sin(level) * scale
        sample = self.engine(
            self.conditioned(latents * scale).float(),
            self.timesteps(t, latents.shape[2], SIGMA_CONDITIONAL / (1 + SIGMA_CONDITIONAL)),
            text,
            self.mask(latents),
            self.rope_fps,
        )
        return self.conditioned(scale * latents - t * sample.to(latents.dtype))
