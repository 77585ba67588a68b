"""What the trained networks make of prompts they never saw, and what the tokenizer alone makes of the scenes behind those."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from miniature.sampling import Choice, Studio
from orrery.evaluation.judging import Verdict, judge
from orrery.evaluation.prompts import Prompt, held_out_prompts
from orrery.evaluation.scores import by_prompt
from orrery.miniature.drawing import frames

AT_ONCE = 25


def score(studio: Studio, count: int, choice: Choice) -> dict[str, dict[str, Any]]:
    """Shares of right colours, shapes, directions and backgrounds, by how the clips were made. Prompts are those of seed 0."""
    groups = grouped(held_out_prompts(count, 0), AT_ONCE)
    makers = {"reconstructed": _reconstructed, "text2world": text2world, "image2world": _image2world}
    return {name: _shares((group, make(studio, group, choice)) for group in groups) for name, make in makers.items()}


def _shares(made: Iterable[tuple[list[Prompt], np.ndarray]]) -> dict[str, float]:
    return accuracies(judge(clip, prompt.scene) for group, clips in made for prompt, clip in zip(group, clips, strict=True))


def grouped(prompts: list[Prompt], at_once: int) -> list[list[Prompt]]:
    return [prompts[start : start + at_once] for start in range(0, len(prompts), at_once)]


def accuracies(verdicts: Iterable[Verdict]) -> dict[str, float]:
    return {name: share["accuracy"] for name, share in by_prompt(verdicts).items()}


def _reconstructed(studio: Studio, prompts: list[Prompt], _choice: Choice) -> np.ndarray:
    return studio.reconstructed(np.stack([frames(prompt.scene) for prompt in prompts]))


def text2world(studio: Studio, prompts: list[Prompt], choice: Choice) -> np.ndarray:
    return studio.text2world(*_asked(prompts), choice)


def _image2world(studio: Studio, prompts: list[Prompt], choice: Choice) -> np.ndarray:
    texts, seeds = _asked(prompts)
    return studio.image2world(texts, np.stack([prompt.first_frame for prompt in prompts]), seeds, choice)


def _asked(prompts: list[Prompt]) -> tuple[list[str], list[int]]:
    return [prompt.text for prompt in prompts], [prompt.index for prompt in prompts]


def show(scores: dict[str, dict[str, Any]]) -> None:
    for made, shares in scores.items():
        print(f"{made:14}", "  ".join(f"{name} {share:.3f}" for name, share in shares.items()), flush=True)
