"""The model card: what the miniature is, how it was trained, on what, and how it scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from miniature.recipe import Recipe
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, FPS, FRAMES, SIDE, Motion, Shape

CARD = """---
license: apache-2.0
library_name: diffusers
tags: [cosmos, text-to-video, image-to-video]
---
# The miniature

A tiny world model in the classes and the file layout of NVIDIA Cosmos Predict2: `T5EncoderModel`, `AutoencoderKLWan` (4x8x8, 16
channels) and two `CosmosTransformer3DModel`, Text2Image and Video2World. It contains no weights of NVIDIA's.

It makes clips of {frames} frames of {side}x{side} pixels at {fps} frames per second: one to three shapes ({shapes}), in
{colours}, that move ({motions}) before a plain background
({backgrounds}). It knows nothing else.

## Training

On scenes that `orrery.miniature` draws, with the captions it writes; nothing is downloaded. Some combinations of shape, colour
and motion are held out (`orrery/miniature/scenes.py`). The video tokenizer learns first, then text encoder and both denoisers
together, as rectified flows behind the preconditioning of Predict2. `make miniature` repeats it with these numbers:

| | |
|---|---|
{recipe}

## Scores

Shares of {prompts} held-out prompts (seed 0) that `orrery.evaluation` finds right; {steps} steps of {sampler}, computed by the
training program. The first row is what the video tokenizer leaves of the drawn clips themselves.

| | colour | shape | direction | background |
|---|---|---|---|---|
{scores}
"""

KINDS = ("colour", "shape", "direction", "background")


def write(out: Path, recipe: Recipe, scores: Mapping[str, Mapping[str, Any]], prompts: int, steps: int, sampler: str) -> None:
    """`out`/README.md."""
    card = CARD.format(
        frames=FRAMES,
        side=SIDE,
        fps=FPS,
        shapes=", ".join(Shape),
        colours=", ".join(COLOURS),
        motions=", ".join(Motion),
        backgrounds=", ".join(BACKGROUNDS),
        recipe="\n".join(f"| `{name}` | {value} |" for name, value in asdict(recipe).items()),
        scores="\n".join(_row(made, shares) for made, shares in scores.items()),
        prompts=prompts,
        steps=steps,
        sampler=sampler,
    )
    (out / "README.md").write_text(card)


def _row(made: str, shares: Mapping[str, Any]) -> str:
    return f"| {made} | " + " | ".join(f"{shares[kind]:.3f}" for kind in KINDS) + " |"
