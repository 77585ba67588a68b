"""Predict2.5's networks: the velocity of a rectified flow, as it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from orrery.stages.predictions.prediction import Prediction

LEVELS = 1000
"""Into so many official code divides the way from clean latents to noise."""


@dataclass(frozen=True)
class Velocity(Prediction):
    """dx/dt = noise - x0 at level t of x = (1 - t) x0 + t noise; the network is given x and t as they are, as diffusers does.

    The network always has a channel for the condition mask. Conditioning frames replace the network's input, and their
    velocity is known: the noise less the frames. They are said to be at `conditional_timestep`, or at t with all others.
    """

    def estimate(self, latents: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """See `Prediction`."""
        velocity = self.engine(
            self.conditioned(latents).float(),
            self.timesteps(self.told(level), latents.shape[2], self.conditional_timestep),
            text,
            self.mask(latents),
            self.rope_fps,
        )
        if self.condition is None:
            return velocity
        frames = self.condition.shape[2]
        given = self.noise[:, :, :frames] - self.condition
        return torch.cat([given.to(velocity), velocity[:, :, frames:]], dim=2)

    def told(self, level: torch.Tensor) -> torch.Tensor:
        """What the network is told of the level."""
        return level


@dataclass(frozen=True)
class TruncatedVelocity(Velocity):
    """As official code, whose levels are whole numbers of thousandths, cut off."""

    def told(self, level: torch.Tensor) -> torch.Tensor:
        """See `Velocity`."""
        return torch.floor(level * LEVELS) * (1 / LEVELS)
