"""The prompts of an evaluation: scenes that training never saw, in words, fixed by a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orrery.evaluation.regions import Frames
from orrery.miniature.captions import caption
from orrery.miniature.drawing import frames
from orrery.miniature.scenes import Scene, held_out_scene

_CAPTIONS = 2
"""Keeps the random numbers of captions apart from those of scenes."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """`index` is also the seed that its clip is made with."""

    index: int
    text: str
    scene: Scene

    @property
    def first_frame(self) -> Frames:
        """[1, 96, 96, RGB]"""
        return frames(self.scene)[:1]


def held_out_prompts(count: int, seed: int) -> list[Prompt]:
    """The first `count` of the endless list that `seed` stands for."""
    return [_prompt(held_out_scene(seed, index), seed, index) for index in range(count)]


def _prompt(scene: Scene, seed: int, index: int) -> Prompt:
    return Prompt(index, caption(scene, np.random.default_rng([seed, index, _CAPTIONS])), scene)
