"""The model card: what the miniature is, how it was trained, on what, and how it scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from miniature.recipe import Recipe
from miniature.sampling import Choice
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, FPS, FRAMES, SIDE, Motion, Shape

CARD = """---
license: apache-2.0
library_name: diffusers
tags: [cosmos, text-to-video, image-to-video]
---
# The miniatures

Two tiny world models in the classes and the file layout of NVIDIA Cosmos. They contain no weights of NVIDIA's.

- `miniature` is as Predict2: `T5EncoderModel`, `AutoencoderKLWan` (4x8x8, 16 channels) and two `CosmosTransformer3DModel`,
  Text2Image and Video2World.
- `miniature-predict25`, which the last program adds, is as Predict2.5: `Qwen2_5_VLForConditionalGeneration`, the same
  `AutoencoderKLWan`, and one `CosmosTransformer3DModel` with a projection for text, for worlds from text, an image or a clip.

They make clips of {frames} frames of {side}x{side} pixels at {fps} frames per second: one to three shapes ({shapes}), in
{colours}, that move ({motions}) before a plain background
({backgrounds}). They know nothing else.

## Training

On scenes that `orrery.miniature` draws, with the captions it writes; nothing is downloaded. Some combinations of shape, colour
and motion are held out (`orrery/miniature/scenes.py`). All denoisers are rectified flows. `make miniature` runs four
programs of `build/miniature`, one after the other:

1. `miniature`: the video tokenizer, then text encoder and both denoisers together.
2. `miniature.crowding`: text encoder and both denoisers again, on scenes of which most have two or three things (`crowd_...`).
3. `miniature.alone`: each denoiser by itself, by Muon: text2image from nothing (`image_...`), then video2world (`world_...`).
4. `miniature.one_model`: the form of Predict2.5 (`one_model_...`), which begins with the weights of Video2World.

| | |
|---|---|
{recipe}
"""

SCORES = """
## Scores of {model}

Shares of {prompts} held-out prompts (seed 0) that `orrery.evaluation` finds right; {steps} steps of {sampler}, {how}.
The row `reconstructed` is what the video tokenizer leaves of the drawn clips themselves.

| | colour | shape | direction | background |
|---|---|---|---|---|
{scores}
"""

KINDS = ("colour", "shape", "direction", "background")


def write(out: Path, recipe: Recipe) -> None:
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
    )
    (out / "README.md").write_text(card)


BY_TRAINING = "computed by the training program"


def add(
    out: Path,
    model: str,
    scores: Mapping[str, Mapping[str, Any]],
    prompts: int,
    choice: Choice,
    how: str = BY_TRAINING,
) -> None:
    """How a model scores, at the end of `out`/README.md."""
    rows = "\n".join(_row(made, shares) for made, shares in scores.items())
    about = {"model": model, "prompts": prompts, "steps": choice.steps, "sampler": choice.sampler, "how": how}
    section = SCORES.format(**about, scores=rows)
    with (out / "README.md").open("a") as card:
        card.write(section)


def _row(made: str, shares: Mapping[str, Any]) -> str:
    return f"| {made} | " + " | ".join(f"{shares[kind]:.3f}" for kind in KINDS) + " |"
