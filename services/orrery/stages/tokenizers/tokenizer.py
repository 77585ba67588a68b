"""What a video tokenizer is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch

from orrery.worlds.catalog.models import Compression


class VideoTokenizer(Protocol):
    """Pixels to normalised latents and back. Causal: a latent frame depends on no later frame of the clip."""

    @property
    def compression(self) -> Compression:
        """How many pixels and frames a latent stands for."""
        ...

    @property
    def white(self) -> int:
        """Official code gives the network 2 v / white - 1 for a pixel's value v in 0 to 255. Diffusers' pipelines have 255."""
        ...

    def encode(self, video: torch.Tensor) -> torch.Tensor:
        """The posterior's mean, as official code takes it. FP32 [1, 3, T, H, W] in [-1, 1] to [1, channels, t, h, w]."""
        ...

    def encode_sampled(self, video: torch.Tensor, *, seed: int, num_frames: int) -> torch.Tensor:
        """Likewise, as diffusers' pipeline of a clip of `num_frames` does with a CPU generator of this seed."""
        ...

    def decode_chunks(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """Pixels [3, n, H, W] in [-1, 1] of [1, channels, t, h, w], in as many parts as the network can make one by one."""
        ...
