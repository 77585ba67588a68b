"""Predict2's networks: a rectified flow behind the interface of EDM."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from orrery.stages.predictions.prediction import Prediction

SIGMA_CONDITIONAL = 1e-4
"""The noise level that conditioning frames are said to have (official `sigma_conditional`)."""


@dataclass(frozen=True)
class RectifiedFlow(Prediction):
    """Estimates clean latents as Predict2 does. The level is sigma, the deviation of the noise.

    With t = sigma / (1 + sigma) the network's input is (1 - t) x and x0 = (1 - t) x - t F. Conditioning frames replace the
    network's input and its answer.
    """

    def estimate(self, latents: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """See `Prediction`."""
        t = level / (level + 1)
        sample = self.engine(
            self.conditioned(latents * (1 - t)).float(),
            self._timestep(t, latents.shape[2]).float(),
            text,
            None if self.condition is None else self.mask(latents),
            self.rope_fps,
        )
        return self.conditioned((1 - t) * latents - t * sample.to(latents.dtype))

    def _timestep(self, t: torch.Tensor, num_frames: int) -> torch.Tensor:
        if self.condition is None:
            return t.reshape(1)
        given = torch.tensor(SIGMA_CONDITIONAL, dtype=t.dtype)
        per_frame = t.repeat(num_frames)
        per_frame[: self.condition.shape[2]] = given / (given + 1)
        return per_frame.reshape(1, 1, -1, 1, 1)
