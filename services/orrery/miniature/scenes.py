"""Scenes: what moves where, drawn at random from a seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from orrery.miniature.motions import PLACERS, Track
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, SIZES, Motion, Shape

HELD_OUT_SHARE = 0.1
MARGIN = 3.0
"""Pixels that stay free between two objects, and between an object and the frame."""
COUNTS = (0.6, 0.3, 0.1)
"""How often a scene has one, two and three objects."""
_TRIES = 40

Combination = tuple[str, str, str, str]
"""(colour, shape, motion, background) of one object."""


@dataclass(frozen=True)
class Thing:
    """One object. Its track says where it is and how large in each frame."""

    colour: str
    shape: Shape
    motion: Motion
    size: str
    track: Track


@dataclass(frozen=True)
class Scene:
    """Later things lie in front of earlier ones; all have different colours and none touches another."""

    background: str
    things: tuple[Thing, ...]

    @property
    def combinations(self) -> tuple[Combination, ...]:
        return tuple((thing.colour, thing.shape.value, thing.motion.value, self.background) for thing in self.things)

    @property
    def held_out(self) -> bool:
        """Whether training never sees it: one of its combinations is held out."""
        return any(map(held_out, self.combinations))


def held_out(combination: Combination) -> bool:
    """A fixed choice of about `HELD_OUT_SHARE` of all combinations, by their digest."""
    digest = hashlib.sha256("/".join(combination).encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


HELD_OUT: tuple[Combination, ...] = tuple(
    c for c in product(COLOURS, (s.value for s in Shape), (m.value for m in Motion), BACKGROUNDS) if held_out(c)
)


def training_scene(seed: int, index: int) -> Scene:
    """Scene `index` of the training set `seed`. None of its combinations is held out."""
    rng = np.random.default_rng([seed, index])
    count = int(rng.choice(3, p=COUNTS)) + 1
    while True:
        scene = random_scene(rng, count)
        if scene is not None and not scene.held_out:
            return scene


def held_out_scene(seed: int, index: int) -> Scene:
    """Scene `index` of the test set `seed`: its first thing is a held-out combination."""
    rng = np.random.default_rng([seed, index, 1])
    count = int(rng.choice(3, p=COUNTS)) + 1
    while True:
        combination = HELD_OUT[int(rng.integers(len(HELD_OUT)))]
        scene = random_scene(rng, count, combination)
        if scene is not None:
            return scene


def random_scene(rng: np.random.Generator, count: int, first: Combination | None = None) -> Scene | None:
    """`count` things that keep apart, or None if no room was found. `first` fixes the first one and the background."""
    background = first[3] if first else str(rng.choice(list(BACKGROUNDS)))
    colours = [str(c) for c in rng.permutation([c for c in COLOURS if first is None or c != first[0]])]
    things: list[Thing] = []
    for number in range(count):
        fixed = first if number == 0 else None
        colour = fixed[0] if fixed else colours[number]
        thing = _placed(rng, colour, fixed, count, tuple(things))
        if thing is None:
            return None
        things.append(thing)
    return Scene(background, tuple(things))


def _placed(
    rng: np.random.Generator, colour: str, fixed: Combination | None, count: int, others: tuple[Thing, ...]
) -> Thing | None:
    shape = Shape(fixed[1]) if fixed else list(Shape)[int(rng.integers(len(Shape)))]
    motion = Motion(fixed[2]) if fixed else list(Motion)[int(rng.integers(len(Motion)))]
    size = str(rng.choice(list(SIZES)[: 3 if count == 1 else 4 - count]))
    for _ in range(_TRIES):
        thing = Thing(colour, shape, motion, size, PLACERS[motion](rng, SIZES[size], MARGIN))
        if all(_apart(thing.track, other.track) for other in others):
            return thing
    return None


def _apart(one: Track, other: Track) -> bool:
    distance = np.hypot(one.x - other.x, one.y - other.y)
    return bool(np.all(distance > one.reach + other.reach + MARGIN))


def recoloured(scene: Scene, number: int, colour: str) -> Scene:
    """The same scene with one thing of another colour."""
    things = list(scene.things)
    things[number] = replace(things[number], colour=colour)
    return Scene(scene.background, tuple(things))


def overlapping(scene: Scene) -> bool:
    """Whether two things come closer than `MARGIN` in some frame."""
    return any(not _apart(one.track, other.track) for one, other in combinations(scene.things, 2))
