"""Trains the video tokenizer on crops of clips, and measures what its latents look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import l1_loss

from miniature.networks import video_tokenizer
from miniature.recipe import Recipe
from miniature.scenery import Scenery
from miniature.training import Run
from orrery.miniature.vocabulary import FRAMES, SIDE

LONG_EVERY = 4


def train(work: Path, recipe: Recipe, scenery: Scenery, device: torch.device) -> Any:
    """The trained tokenizer, with the average of its weights."""
    torch.manual_seed(recipe.seed)
    vae = video_tokenizer().to(device)
    run = Run(work / "tokenizer", vae, rate=recipe.tokenizer_rate, total=recipe.tokenizer_steps, warm_up=100, decay=0.999)
    run.train(lambda step: _losses(vae, _crops(scenery, recipe, step, device), recipe.kl_weight, device))
    run.average.write_to(vae)
    return vae.eval().requires_grad_(False)


def _losses(vae: Any, video: torch.Tensor, kl_weight: float, device: torch.device) -> dict[str, torch.Tensor]:
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        posterior = vae.encode(video).latent_dist
        decoded = vae.decode(posterior.sample().to(video.dtype)).sample
    error = decoded.float() - video
    kl = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
    reconstruction = error.abs().mean() + 2.0 * (error**2).mean() + _edge_error(decoded.float(), video)
    return {"loss": reconstruction + kl_weight * kl, "mse": (error**2).mean(), "kl": kl}


def _edge_error(decoded: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
    """How far the differences between neighbours are off: it keeps edges sharp."""
    across = l1_loss(decoded.diff(dim=-1), video.diff(dim=-1))
    return across + l1_loss(decoded.diff(dim=-2), video.diff(dim=-2))


def _crops(scenery: Scenery, recipe: Recipe, step: int, device: torch.device) -> torch.Tensor:
    """Parts of random clips. Every `LONG_EVERY` steps they are half as many and twice as long."""
    random = torch.Generator().manual_seed(recipe.seed + step)
    times = 2 if step % LONG_EVERY == 0 else 1
    size, frames = recipe.tokenizer_crop, times * (recipe.tokenizer_frames - 1) + 1
    numbers = torch.randint(len(scenery), (max(1, recipe.tokenizer_batch // times),), generator=random).to(device)
    rooms = (FRAMES - frames, SIDE - size, SIDE - size)
    start, top, left = (int(torch.randint(room + 1, (1,), generator=random)) for room in rooms)
    clip = scenery.clips(numbers)
    return clip[:, :, start : start + frames, top : top + size, left : left + size].contiguous()


@torch.no_grad()
def encode(vae: Any, clips: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Means of the posterior, FP16 [n, 16, t, h, w]."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        return vae.encode(clips).latent_dist.mean.half()


@torch.no_grad()
def psnr(vae: Any, clips: torch.Tensor) -> float:
    """Of reconstructions, in dB, for values in [-1, 1]."""
    errors = [(_reconstructed(vae, clip) - clip) ** 2 for clip in clips.split(1)]
    return float(10 * torch.log10(4 / torch.cat(errors).mean()))


def _reconstructed(vae: Any, clip: torch.Tensor) -> torch.Tensor:
    decoded: torch.Tensor = vae.decode(vae.encode(clip).latent_dist.mean).sample
    return decoded.clamp(-1, 1)
