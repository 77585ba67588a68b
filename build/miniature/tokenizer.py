"""Trains the video tokenizer on crops of clips, and measures what its latents look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import l1_loss

from miniature.networks import LATENT_CHANNELS, video_tokenizer
from miniature.recipe import Recipe
from miniature.scenery import Scenery
from miniature.training import Graphed, Run, half_precision
from orrery.miniature.vocabulary import FRAMES, SIDE

LOSSES = ("loss", "kl", "mse")
INITIAL_CERTAINTY = 6.0
"""What is taken off the logarithm of the posterior's variance: e^-6 is a deviation of 0.05."""


def train(work: Path, recipe: Recipe, scenery: Scenery, device: torch.device) -> Any:
    """The trained tokenizer, with the average of its weights."""
    torch.manual_seed(recipe.seed)
    vae = channels_last(certain(video_tokenizer()).to(device))
    run = Run(work / "tokenizer", vae, rate=recipe.tokenizer_rate, total=recipe.tokenizer_steps, warm_up=100, decay=0.999)
    losses = Graphed(Reconstruction(vae, recipe.kl_weight))
    run.train(lambda step: dict(zip(LOSSES, losses(_crops(scenery, recipe, step, device)), strict=True)))
    run.average.write_to(vae)
    return vae.eval().requires_grad_(False)


def certain(vae: Any) -> Any:
    """The tokenizer with a posterior that is narrow from the start: under wide noise the decoder learns to ignore latents."""
    with torch.no_grad():
        vae.quant_conv.bias[LATENT_CHANNELS:] -= INITIAL_CERTAINTY
    return vae


def channels_last(vae: Any) -> Any:
    """The tokenizer with its 3D convolutions in the memory order that cuDNN's are fastest in."""
    for module in vae.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.weight.data = module.weight.data.to(memory_format=torch.channels_last_3d)
    return vae


class Reconstruction(torch.nn.Module):
    """What a video [n, 3, T, H, W] loses in the tokenizer: the values of `LOSSES`."""

    def __init__(self, vae: Any, kl_weight: float):
        super().__init__()
        self.vae, self._kl_weight = vae, kl_weight

    def forward(self, video: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with half_precision(video.device):
            posterior = self.vae.encode(video).latent_dist
            decoded = self.vae.decode(posterior.sample().to(video.dtype)).sample.float()
        kl = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        squared = ((decoded - video) ** 2).mean()
        wrong = 0.5 * l1_loss(decoded, video) + 4.0 * squared + _edge_error(decoded, video)
        return wrong + self._kl_weight * kl, kl, squared


def _edge_error(decoded: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
    """How far the differences between neighbours are off: it keeps edges sharp."""
    across = l1_loss(decoded.diff(dim=-1), video.diff(dim=-1))
    return 0.5 * (across + l1_loss(decoded.diff(dim=-2), video.diff(dim=-2)))


def _crops(scenery: Scenery, recipe: Recipe, step: int, device: torch.device) -> torch.Tensor:
    """Parts of random clips. Every other step fewer, and whole ones: else colours drift after what was learned."""
    random = torch.Generator().manual_seed(recipe.seed + step)
    times = (FRAMES - 1) // (recipe.tokenizer_frames - 1) if step % 2 == 0 else 1
    size, frames = recipe.tokenizer_crop, times * (recipe.tokenizer_frames - 1) + 1
    numbers = torch.randint(len(scenery), (max(1, recipe.tokenizer_batch // times),), generator=random).to(device)
    rooms = (FRAMES - frames, SIDE - size, SIDE - size)
    start, top, left = (int(torch.randint(room + 1, (1,), generator=random)) for room in rooms)
    clip = scenery.clips(numbers)
    return clip[:, :, start : start + frames, top : top + size, left : left + size].contiguous()


@torch.no_grad()
def psnr(vae: Any, clips: torch.Tensor) -> float:
    """Of reconstructions, in dB, for values in [-1, 1]."""
    errors = [(_reconstructed(vae, clip) - clip) ** 2 for clip in clips.split(1)]
    return float(10 * torch.log10(4 / torch.cat(errors).mean()))


def _reconstructed(vae: Any, clip: torch.Tensor) -> torch.Tensor:
    decoded: torch.Tensor = vae.decode(vae.encode(clip).latent_dist.mean).sample
    return decoded.clamp(-1, 1)
