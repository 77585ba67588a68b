"""Goes on with the text2image denoiser of components that are there, alone: it is small, and learns from first frames only.

PYTHONPATH=build python -m miniature.refining --components DIR --work DIR --out DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, CosmosTransformer3DModel
from transformers import T5EncoderModel

from miniature import card, components, latents, options, scoring
from miniature.components import MODEL
from miniature.denoisers import Captions, Denoisers, Flow, flow_loss, without_padding_mask
from miniature.latents import Latents
from miniature.recipe import RECIPES, Recipe
from miniature.sampling import Choice, PairStudio
from miniature.scenery import scenery
from miniature.training import Graphed, Run, compile_blocks, half_precision
from orrery.engines.weights import load_module


def main() -> None:
    arguments = options.from_components("miniature.refining", __doc__)
    recipe = RECIPES[arguments.recipe]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    vae, networks = loaded(arguments.components, device)
    things, texts = scenery(recipe.seed, recipe.image_scenes, recipe.captions_per_scene)
    arguments.work.mkdir(parents=True, exist_ok=True)
    firsts = latents.compute(arguments.work, vae, things.to(device), device, batch=1024, frames=1)
    firsts = firsts.measured_as(vae)
    refine(arguments.work, recipe, networks, firsts, texts)
    finish(arguments, recipe, vae, networks, firsts)


def finish(arguments: argparse.Namespace, recipe: Recipe, vae: Any, networks: Denoisers, encoded: Latents) -> None:
    """Scores what came of a training, and saves it with its card."""
    choice = Choice(steps=arguments.steps)
    scores = scoring.score(PairStudio.of(vae, networks, encoded), arguments.prompts, choice)
    scoring.show(scores)
    components.save(arguments.out, vae, networks, encoded.mean, encoded.std)
    card.write(arguments.out, recipe)
    card.add(arguments.out, components.MODEL.name, scores, arguments.prompts, choice)


def refine(work: Path, recipe: Recipe, networks: Denoisers, firsts: Latents, texts: list[list[str]]) -> None:
    """Leaves the average of its weights in `networks.image`. The text encoder stays as it is: others read it too."""
    torch.manual_seed(recipe.seed)
    device = firsts.values.device
    run = Run(
        work / "text2image",
        networks.image.requires_grad_(True),
        rate=recipe.image_rate,
        total=recipe.image_steps,
        warm_up=recipe.warm_up,
        decay=recipe.ema_decay,
    )
    captions, flow = Captions(texts, device), Graphed(Flow(networks.image))
    compile_blocks(networks.image, device)

    def losses(step: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(recipe.seed + step)
        numbers = torch.randint(len(firsts.values), (recipe.image_batch,), device=device)
        with torch.no_grad(), half_precision(device):
            text = captions.filled_up(networks.embed(*captions.pick(numbers, recipe.caption_dropout))).float()
        return {"loss": flow_loss(flow, firsts.normalised(numbers), text)}

    run.train(losses)
    run.average.write_to(networks.image)
    networks.image.requires_grad_(False)


def loaded(folder: Path, device: torch.device) -> tuple[Any, Denoisers]:
    """The video tokenizer and the networks of a folder of components, in FP32."""
    assert MODEL.image is not None
    assert MODEL.world is not None
    networks = Denoisers()
    networks.text = T5EncoderModel.from_pretrained(folder / MODEL.text_encoder, dtype=torch.float32).to(device)
    networks.image = without_padding_mask(load_module(CosmosTransformer3DModel, folder / MODEL.image.component, device).float())
    networks.world = without_padding_mask(load_module(CosmosTransformer3DModel, folder / MODEL.world.component, device).float())
    vae = load_module(AutoencoderKLWan, folder / MODEL.video_tokenizer, device).float()
    return vae, networks.eval().requires_grad_(False)


if __name__ == "__main__":
    main()
