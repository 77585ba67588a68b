"""What all predictions share: conditioning frames, guidance, and a look for cancellation before each evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from orrery.engines.engine import Engine
from orrery.stages.samplers.sampler import SamplerState


@dataclass(frozen=True)
class Prediction(ABC):
    """What a sampler asks of a network, computed in the element type of the latents it is given.

    `condition` [1, 16, n, h, w] are the first n latent frames of the clip, which are given and not made; None for none.
    Guidance is cond + scale (cond - uncond), in the official convention, if there is a `negative_text`.
    `conditional_timestep` is what conditioning frames are said to be at, in the subclass's unit, where the checkpoint tells
    them from the others. `noise` is what the latents were before the first step; where more of it is drawn on the way,
    `seed` and the number of `num_inference_steps` say which.
    """

    data_deviation: ClassVar[float] = 1.0
    """Of clean latents in the units that this prediction works in. Those of a video tokenizer have 1."""

    engine: Engine
    text: torch.Tensor
    negative_text: torch.Tensor | None
    guidance_scale: float
    condition: torch.Tensor | None
    rope_fps: float | None
    check_cancelled: Callable[[], None]
    noise: torch.Tensor
    conditional_timestep: float | None = None
    seed: int = 0
    num_inference_steps: int = 1

    def __call__(self, latents: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """`latents` [1, 16, t, h, w] at a noise `level`, a scalar of the same element type. Answers in the same shape."""
        self.check_cancelled()
        conditional = self.estimate(latents, level, self.text)
        if self.negative_text is None:
            return conditional
        unconditional = self.estimate(latents, level, self.negative_text)
        return conditional + self.guidance_scale * (conditional - unconditional)

    def entering(self, state: SamplerState) -> SamplerState:
        """The state that the next step is to begin with."""
        return state

    @abstractmethod
    def estimate(self, latents: torch.Tensor, level: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """One evaluation of the network, without guidance."""
        ...

    def conditioned(self, latents: torch.Tensor) -> torch.Tensor:
        """The latents with their first frames replaced by those that are given."""
        if self.condition is None:
            return latents
        return torch.cat([self.condition.to(latents.dtype), latents[:, :, self.condition.shape[2] :]], dim=2)

    def timesteps(self, t: torch.Tensor, num_frames: int, given: float | None) -> torch.Tensor:
        """FP32 [1, 1, t, 1, 1]: `t` for each latent frame, and `given` for those that are, unless it is None."""
        per_frame = t.repeat(num_frames)
        if self.condition is not None and given is not None:
            per_frame[: self.condition.shape[2]] = given
        return per_frame.reshape(1, 1, -1, 1, 1).float()

    def mask(self, latents: torch.Tensor) -> torch.Tensor:
        """FP32 [1, 1, t, h, w]: 1 where a latent frame is given."""
        mask = torch.zeros_like(latents[:, :1], dtype=torch.float32)
        if self.condition is not None:
            mask[:, :, : self.condition.shape[2]] = 1
        return mask
