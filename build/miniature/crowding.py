"""Goes on with text encoder and denoisers of components that are there, on scenes of which many have two or three things.

PYTHONPATH=build python -m miniature.crowding --components DIR --work DIR --out DIR

Half of the time the video2world denoiser is given no frame, so that it makes worlds from text alone.
"""

from __future__ import annotations

import torch

from miniature import components, latents, options, results
from miniature.denoisers import go_on
from miniature.recipe import RECIPES
from miniature.scenery import crowded


def main() -> None:
    arguments = options.from_components("miniature.crowding", __doc__)
    recipe = RECIPES[arguments.recipe]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    vae, networks = components.load(arguments.components, device)
    things, texts = crowded(recipe.crowd, recipe.captions_per_scene)
    arguments.work.mkdir(parents=True, exist_ok=True)
    encoded = latents.compute(arguments.work, vae, things.to(device), device).measured_as(vae)
    networks = go_on(arguments.work / "crowding", recipe.crowding, networks, encoded, texts)
    results.save(arguments, recipe, vae, networks, encoded)


if __name__ == "__main__":
    main()
