"""From an engine's output to an estimate of the clean latents: preconditioning, conditioning frames and guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from orrery.engines.engine import Engine

SIGMA_CONDITIONAL = 1e-4
"""The noise level that conditioning frames are said to have (official `sigma_conditional`)."""


@dataclass(frozen=True)
class X0Predictor:
    """Estimates clean latents as Predict2 does, in the element type of the latents it is given.

    The network is a rectified flow behind the interface of EDM: with t = sigma / (1 + sigma) its input is (1 - t) x and
    x0 = (1 - t) x - t F. Conditioning frames (`condition` [1, 16, n, h, w], the first n of the clip) replace the network's
    input and its answer. Guidance is cond + scale (cond - uncond), in the official convention, if there is a `negative_text`.
    """

    engine: Engine
    text: torch.Tensor
    negative_text: torch.Tensor | None
    guidance_scale: float
    condition: torch.Tensor | None
    rope_fps: float | None
    check_cancelled: Callable[[], None]

    def __call__(self, latents: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """`latents` [1, 16, t, h, w] with noise of deviation `sigma` (a scalar of the same element type)."""
        self.check_cancelled()
        conditional = self._estimate(latents, sigma, self.text)
        if self.negative_text is None:
            return conditional
        unconditional = self._estimate(latents, sigma, self.negative_text)
        return conditional + self.guidance_scale * (conditional - unconditional)

    def _estimate(self, latents: torch.Tensor, sigma: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        t = sigma / (sigma + 1)
        sample = self.engine(
            self._conditioned(latents * (1 - t)).float(),
            self._timestep(t, latents.shape[2]).float(),
            text,
            self._mask(latents),
            self.rope_fps,
        )
        return self._conditioned((1 - t) * latents - t * sample.to(latents.dtype))

    def _conditioned(self, latents: torch.Tensor) -> torch.Tensor:
        """The latents with their first frames replaced by those that are given."""
        if self.condition is None:
            return latents
        return torch.cat([self.condition.to(latents.dtype), latents[:, :, self.condition.shape[2] :]], dim=2)

    def _timestep(self, t: torch.Tensor, num_frames: int) -> torch.Tensor:
        if self.condition is None:
            return t.reshape(1)
        given = torch.tensor(SIGMA_CONDITIONAL, dtype=t.dtype)
        per_frame = t.repeat(num_frames)
        per_frame[: self.condition.shape[2]] = given / (given + 1)
        return per_frame.reshape(1, 1, -1, 1, 1)

    def _mask(self, latents: torch.Tensor) -> torch.Tensor | None:
        if self.condition is None:
            return None
        mask = torch.zeros_like(latents[:, :1], dtype=torch.float32)
        mask[:, :, : self.condition.shape[2]] = 1
        return mask
