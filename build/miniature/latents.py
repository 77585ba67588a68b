"""The latents of the training scenes, computed once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from miniature.scenery import Scenery
from miniature.training import half_precision
from orrery.miniature.vocabulary import FRAMES


@dataclass(frozen=True)
class Latents:
    """`values` FP16 [N, 16, 9, 12, 12], as encoded; `mean` and `std` [16] over all of them."""

    values: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def measured_as(self, vae: Any) -> Latents:
        """By the moments that a tokenizer has been told of, and not by those of these."""
        mean, std = moments(vae, self.mean.device)
        return replace(self, mean=mean.to(self.mean), std=std.to(self.std))

    def normalised(self, numbers: torch.Tensor) -> torch.Tensor:
        shape = (1, -1, 1, 1, 1)
        return (self.values[numbers].float() - self.mean.view(shape)) / self.std.view(shape)


def moments(vae: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and standard deviations [16] that a tokenizer has been told of."""
    mean, std = (torch.tensor(getattr(vae.config, f"latents_{name}"), device=device) for name in ("mean", "std"))
    return mean, std


def compute(work: Path, vae: Any, scenery: Scenery, device: torch.device, batch: int = 128, frames: int = FRAMES) -> Latents:
    """From the cache in `work`, or by encoding the first `frames` of every scene."""
    path = work / "latents.pt"
    if path.exists():
        return Latents(*torch.load(path, map_location=device, weights_only=True))
    parts = []
    for number, numbers in enumerate(torch.arange(len(scenery)).split(batch)):
        parts.append(_encode(vae, scenery.clips(numbers.to(device))[:, :, :frames], device))
        if number % 200 == 0:
            print(f"latents {len(parts) * batch}/{len(scenery)}", flush=True)
    values = torch.cat(parts)
    latents = Latents(values, *_moments(values))
    torch.save([latents.values, latents.mean, latents.std], path)
    return latents


@torch.no_grad()
def _encode(vae: Any, clips: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Means of the posterior, FP16 [n, 16, t, h, w]."""
    with half_precision(device):
        mean: torch.Tensor = vae.encode(clips).latent_dist.mean
    return mean.half()


def _moments(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    sample = values[:4096].float()
    return sample.mean(dim=(0, 2, 3, 4)), sample.std(dim=(0, 2, 3, 4))
