"""What a sampler is: a pure function from one state to the next, so that any state can be stored and gone on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(latents, level) to what the sampler's kind of prediction gives; `level` is the noise's, a scalar of the latents' type."""
PredictX0 = Predict
"""Where what is predicted are the clean latents, and the level is sigma."""


@dataclass(frozen=True)
class SamplerState:
    """Everything that the steps after `step` depend on. Tensors [1, 16, t, h, w] in the element type the sampler works in.

    `step` counts finished steps; `previous_x0` is the estimate of the clean latents in the last of them. `history` is
    whatever else a sampler goes on from, by names of its own.
    """

    step: int
    latents: torch.Tensor
    previous_x0: torch.Tensor | None = None
    history: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """For storage: the state as named tensors, `step` as INT64 [1]."""
        tensors = {"step": torch.tensor([self.step]), "latents": self.latents}
        return tensors | ({} if self.previous_x0 is None else {"previous_x0": self.previous_x0}) | dict(self.history)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> SamplerState:
        """The inverse of `to_tensors`."""
        history = {name: tensor for name, tensor in tensors.items() if name not in ("step", "latents", "previous_x0")}
        return cls(int(tensors["step"].item()), tensors["latents"], tensors.get("previous_x0"), history)


class Sampler(Protocol):
    @property
    def num_steps(self) -> int:
        """How many times `advance` leads from the first state to the last."""
        ...

    def start(self, noise: torch.Tensor) -> SamplerState:
        """The state before the first step, from unit noise in FP32."""
        ...

    def advance(self, state: SamplerState, predict: Predict, /) -> SamplerState:
        """The state one step later. After the last step its `latents` are the result."""
        ...
