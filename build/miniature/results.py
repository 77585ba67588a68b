"""What a training of the pair ends with."""

from __future__ import annotations

import argparse
from typing import Any

from miniature import card, components, scoring
from miniature.denoisers import Denoisers
from miniature.latents import Latents
from miniature.recipe import Recipe
from miniature.sampling import Choice, PairStudio


def save(arguments: argparse.Namespace, recipe: Recipe, vae: Any, networks: Denoisers, encoded: Latents) -> None:
    """Scores what came of it, and saves it with its card."""
    choice = Choice(steps=arguments.steps)
    scores = scoring.score(PairStudio.of(vae, networks, encoded), arguments.prompts, choice)
    scoring.show(scores)
    components.save(arguments.out, vae, networks, encoded.mean, encoded.std)
    card.write(arguments.out, recipe)
    card.add(arguments.out, components.MODEL.name, scores, arguments.prompts, choice)
