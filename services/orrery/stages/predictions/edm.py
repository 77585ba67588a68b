"""Predict1's networks: EDM's preconditioning, with conditioning frames that have a little noise of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch

from orrery.stages.predictions.draws import Draws
from orrery.stages.predictions.prediction import Prediction
from orrery.stages.samplers.euler import edm_levels
from orrery.stages.samplers.sampler import SamplerState
from orrery.stages.samplers.sigmas import karras_sigmas

SIGMA_DATA = 0.5
AUGMENT_SIGMA = 0.001
"""The noise level that conditioning frames are brought to and shown at, whatever that of the others is."""


@dataclass(frozen=True)
class Edm(Prediction):
    """Estimates clean latents of deviation d = `SIGMA_DATA`. The level is sigma, the deviation of the noise.

    The network is given x / sqrt(sigma^2 + d^2) and ln(sigma) / 4 for the time, and
    x0 = d^2 / (sigma^2 + d^2) x + sigma d / sqrt(sigma^2 + d^2) F (Karras et al. 2022, table 1). While sigma is above
    `AUGMENT_SIGMA` the estimate of conditioning frames is what was given; below they are denoised like the others.
    """

    data_deviation: ClassVar[float] = SIGMA_DATA

    def estimate(self, latents: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """See `Prediction`."""
        sample = self.engine(
            (self.shown(latents, level, text) * _input_scale(level)).float(),
            self._timestep(0.25 * torch.log(level), latents.shape[2]),
            text,
            None if self.condition is None else self.mask(latents),
            self.rope_fps,
        )
        variance = level**2 + SIGMA_DATA**2
        x0 = SIGMA_DATA**2 / variance * latents + level * SIGMA_DATA / variance**0.5 * sample.to(latents.dtype)
        return x0 if self.given is None or level <= AUGMENT_SIGMA else _replaced(x0, self.given)

    def shown(self, latents: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """What the network is to see of the latents for a text, before they are scaled."""
        return latents

    def _timestep(self, time: torch.Tensor, num_frames: int) -> torch.Tensor:
        """One for all frames; where there is one that is given, it is that frame's own, as an engine takes it."""
        given_alone = num_frames == 1 and self.condition is not None
        return self.timesteps(time, num_frames, None) if given_alone else time.reshape(1).float()

    @cached_property
    def given(self) -> torch.Tensor | None:
        """The conditioning frames in the units of this prediction."""
        return None if self.condition is None else self.condition * SIGMA_DATA

    def augmented(self, latents: torch.Tensor, level: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The latents with conditioning frames in them that will be seen at `AUGMENT_SIGMA`, with `noise`, of their level."""
        if self.given is None or level <= AUGMENT_SIGMA:
            return latents
        augment = torch.tensor(AUGMENT_SIGMA, dtype=level.dtype)
        frames = self.given + noise[:, :, : self.given.shape[2]] * augment
        return _replaced(latents, frames * _input_scale(augment) / _input_scale(level))


@dataclass(frozen=True)
class OfficialEdm(Edm):
    """As official code: the conditioning frames overwrite the state before each step, with the noise that it began with."""

    def entering(self, state: SamplerState) -> SamplerState:
        """See `Prediction`."""
        level = edm_levels(self.num_inference_steps)[state.step]
        return replace(state, latents=self.augmented(state.latents, level, self.noise))


@dataclass(frozen=True)
class DiffusersEdm(Edm):
    """As diffusers' pipelines: the state stays, the network sees the conditioning frames with new noise at each evaluation.

    The noise is what `torch.Generator().manual_seed(seed)` draws for the whole clip, for one text after the other.
    """

    def shown(self, latents: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """See `Edm`."""
        if self.given is None:
            return latents
        return self.augmented(latents, level, self._draws[self._evaluation(level, text)])

    @cached_property
    def _draws(self) -> Draws:
        return Draws(self.seed, self.noise.shape, self.noise.device)

    def _evaluation(self, level: torch.Tensor, text: torch.Tensor) -> int:
        """How many were before this one."""
        levels = torch.from_numpy(karras_sigmas(self.num_inference_steps)).float()
        step = int((levels - level.cpu()).abs().argmin())
        return step if self.negative_text is None else 2 * step + int(text is self.negative_text)


def _input_scale(level: torch.Tensor) -> torch.Tensor:
    return 1 / (level**2 + SIGMA_DATA**2) ** 0.5


def _replaced(latents: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """The latents with `frames` for their first."""
    return torch.cat([frames.to(latents.dtype), latents[:, :, frames.shape[2] :]], dim=2)
