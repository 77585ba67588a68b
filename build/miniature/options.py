"""What every program that trains can be told."""

from __future__ import annotations

import argparse
from pathlib import Path

from miniature.recipe import RECIPES
from miniature.sampling import Choice


def parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """Programs add what is theirs alone."""
    told = argparse.ArgumentParser(prog=prog, description=description)
    told.add_argument(
        "--work", type=Path, required=True, help="folder of checkpoints, latents and logs; resumed if it is there"
    )
    told.add_argument("--out", type=Path, required=True, help="folder of the components")
    told.add_argument("--recipe", choices=sorted(RECIPES), default="full")
    told.add_argument("--prompts", type=int, default=200, help="held-out prompts to be scored on at the end")
    told.add_argument("--steps", type=int, default=Choice.steps, help="of the sampler, when it is scored")
    return told


def from_components(prog: str, description: str | None) -> argparse.Namespace:
    """Of a program that begins with components that are there."""
    told = parser(prog, description)
    told.add_argument("--components", type=Path, required=True, help="folder of the components to begin with")
    return told.parse_args()
