"""Trains each denoiser of components that are there alone, on texts that stay as they are and crowded scenes, by Muon.

PYTHONPATH=build python -m miniature.alone --components DIR --work DIR --out DIR

Text2image begins with nothing: it is small, and what it learned beside others helps it little. Video2world goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from miniature import components, latents, options, results
from miniature.denoisers import Captions, Denoisers, Flow, deciding_levels, flow_loss, without_padding_mask, world_loss
from miniature.latents import Latents
from miniature.networks import text2image
from miniature.recipe import RECIPES, Recipe
from miniature.scenery import Scenery, crowded
from miniature.training import Graphed, Run, compile_blocks, half_precision
from orrery.miniature.vocabulary import FPS, FRAMES


def main() -> None:
    arguments = options.from_components("miniature.alone", __doc__)
    recipe = RECIPES[arguments.recipe]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(recipe.seed)
    vae, networks = components.load(arguments.components, device)
    networks.image = without_padding_mask(text2image()).to(device)
    work: Path = arguments.work
    # Both before anything is computed: the processes that draw are forked, which threads of a computation would not survive.
    pictures = crowded(recipe.image_crowd, recipe.captions_per_scene)
    clips = crowded(recipe.world_crowd, recipe.captions_per_scene)
    firsts = _lessons(work / "firsts", recipe, vae, device, pictures, 1)
    learn_images(work / "image", recipe, networks, firsts, recipe.image_steps, recipe.image_rate)
    whole = _lessons(work / "whole", recipe, vae, device, clips, FRAMES)
    learn_images(work / "image_again", recipe, networks, whole, recipe.image_again_steps, recipe.image_again_rate)
    learn_worlds(work / "world", recipe, networks, whole)
    results.save(arguments, recipe, vae, networks, whole.latents)


@dataclass(frozen=True)
class Lessons:
    """Scenes and their captions."""

    latents: Latents
    captions: Captions
    dropout: float

    def draw(self, networks: Denoisers, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Clean latents [n, 16, t, h, w] of scenes at random, and the embeddings [n, tokens, width] of a caption of each."""
        device = self.latents.values.device
        numbers = torch.randint(len(self.latents.values), (count,), device=device)
        with torch.no_grad(), half_precision(device):
            text = self.captions.filled_up(networks.embed(*self.captions.pick(numbers, self.dropout))).float()
        return self.latents.normalised(numbers), text


def _lessons(
    work: Path, recipe: Recipe, vae: Any, device: torch.device, scenes: tuple[Scenery, list[list[str]]], frames: int
) -> Lessons:
    """Of the first so many frames of each scene."""
    things, texts = scenes
    work.mkdir(parents=True, exist_ok=True)
    encoded = latents.compute(work, vae, things.to(device), device, frames=frames).measured_as(vae)
    return Lessons(encoded, Captions(texts, device), recipe.caption_dropout)


def learn_images(folder: Path, recipe: Recipe, networks: Denoisers, lessons: Lessons, steps: int, rate: float) -> None:
    """Leaves the average of its weights in `networks.image`. The text encoder stays as it is: others read it too."""
    run = _run(folder, recipe, networks.image, steps, rate)
    flow, device = Graphed(Flow(networks.image)), lessons.latents.values.device
    compile_blocks(networks.image, device)

    def losses(step: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(recipe.seed + step)
        clean, text = lessons.draw(networks, recipe.image_batch)
        levels = deciding_levels(len(clean), device, recipe.image_deciding_share)
        return {"loss": flow_loss(flow, clean[:, :, :1], text, levels)}

    _finish(run, losses, networks.image)


def learn_worlds(folder: Path, recipe: Recipe, networks: Denoisers, lessons: Lessons) -> None:
    """Leaves the average of its weights in `networks.world`."""
    run = _run(folder, recipe, networks.world, recipe.world_steps, recipe.world_rate)
    plain, at_fps = Graphed(Flow(networks.world)), Graphed(Flow(networks.world, FPS))
    device = lessons.latents.values.device
    compile_blocks(networks.world, device)

    def losses(step: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(recipe.seed + step)
        clean, text = lessons.draw(networks, recipe.denoiser_batch)
        flow = at_fps if torch.rand(()).item() < recipe.rope_fps_share else plain
        levels = deciding_levels(len(clean), device, recipe.world_deciding_share)
        return {"loss": world_loss(flow, clean, text, recipe.conditional_frames, levels)}

    _finish(run, losses, networks.world)


def _run(folder: Path, recipe: Recipe, network: Any, steps: int, rate: float) -> Run:
    network.train().requires_grad_(True)
    return Run(folder, network, rate=rate, total=steps, warm_up=recipe.alone_warm_up, decay=recipe.ema_decay, muon=True)


def _finish(run: Run, losses: Any, network: Any) -> None:
    run.train(losses)
    run.average.write_to(network)
    network.eval().requires_grad_(False)


if __name__ == "__main__":
    main()
