"""Noise by its number in the sequence that a generator gives."""

from __future__ import annotations

import torch


class Draws:
    """What torch's CPU generator of this seed draws, FP32 of one shape each. Cheap in order; a sampler may begin anywhere."""

    def __init__(self, seed: int, shape: torch.Size, device: torch.device):
        self._seed, self._shape, self._device = seed, shape, device
        self._generator = torch.Generator()
        self._drawn: int | None = None

    def __getitem__(self, number: int) -> torch.Tensor:
        if self._drawn is None or number < self._drawn:
            self._generator.manual_seed(self._seed)
            self._drawn = 0
        for _ in range(number - self._drawn):
            self._draw()
        self._drawn = number + 1
        return self._draw().to(self._device)

    def _draw(self) -> torch.Tensor:
        return torch.randn(self._shape, generator=self._generator, dtype=torch.float32)
