"""See the package."""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

from miniature import curves, denoisers, latents, options, results, tokenizer
from miniature.recipe import RECIPES, Recipe
from miniature.scenery import scenery


def main() -> None:
    arguments = _arguments()
    recipe = _recipe(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    print(f"on {device}: {recipe}", flush=True)
    things, texts = scenery(recipe.seed, recipe.scenes, recipe.captions_per_scene)
    things = things.to(device)
    vae = tokenizer.train(arguments.work, recipe, things, device)
    encoded = latents.compute(arguments.work, vae, things, device)
    whole = things.clips(torch.arange(min(2, len(things)), device=device))
    print(f"tokenizer: {tokenizer.psnr(vae, whole):.1f} dB", flush=True)
    networks = denoisers.train(arguments.work, recipe, encoded, texts, device)
    curves.plot(arguments.work, arguments.work / "losses.png")
    results.save(arguments, recipe, vae, networks, encoded)
    print(f"{arguments.out}: {sum(f.stat().st_size for f in arguments.out.rglob('*') if f.is_file()) / 1e6:.1f} MB", flush=True)


def _arguments() -> argparse.Namespace:
    parser = options.parser("miniature", "Train the miniature world model.")
    parser.add_argument("--tokenizer-steps", type=int)
    parser.add_argument("--denoiser-steps", type=int)
    parser.add_argument("--scenes", type=int)
    return parser.parse_args()


def _recipe(arguments: argparse.Namespace) -> Recipe:
    asked = {name: getattr(arguments, name) for name in ("tokenizer_steps", "denoiser_steps", "scenes")}
    return replace(RECIPES[arguments.recipe], **{name: value for name, value in asked.items() if value is not None})


if __name__ == "__main__":
    main()
