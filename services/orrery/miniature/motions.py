"""Motions: where an object is in every frame of a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orrery.miniature.vocabulary import FRAMES, SIDE, Motion

Floats = NDArray[np.float64]

REACH = 1.55
"""How far from its centre an object of half-side 1 is kept from the edge: all of a circle, square or cross, and of a triangle
all but the outermost ninth of its corners."""


@dataclass(frozen=True, eq=False)
class Track:
    """Centres and half-sides in pixels, one of each per frame; (0, 0) is the upper left corner."""

    x: Floats
    y: Floats
    radius: Floats

    @property
    def reach(self) -> Floats:
        return self.radius * REACH


Placer = Callable[[np.random.Generator, float, float], Track]
"""(random numbers, half-side, margin in pixels) to a track that stays inside the frame."""

_TIME: Floats = np.linspace(0.0, 1.0, FRAMES)


def _moving(rng: np.random.Generator, radius: float, margin: float, x: Floats, y: Floats, grow: Floats) -> Track:
    """Puts the path x, y (relative, in pixels) somewhere at random where the whole of it fits."""
    sizes = radius * grow
    reach = sizes * REACH + margin
    return Track(x + _offset(rng, x, reach), y + _offset(rng, y, reach), sizes)


def _offset(rng: np.random.Generator, path: Floats, reach: Floats) -> float:
    low, high = float(np.max(reach - path)), float(np.min(SIDE - reach - path))
    return float(rng.uniform(low, max(low, high)))


def _straight(dx: float, dy: float) -> Placer:
    def place(rng: np.random.Generator, radius: float, margin: float) -> Track:
        length = min(rng.uniform(34.0, 48.0), SIDE - 2 * (radius * REACH + margin))
        return _moving(rng, radius, margin, dx * length * _TIME, dy * length * _TIME, np.ones(FRAMES))

    return place


def _still(rng: np.random.Generator, radius: float, margin: float) -> Track:
    return _moving(rng, radius, margin, np.zeros(FRAMES), np.zeros(FRAMES), np.ones(FRAMES))


def _circling(rng: np.random.Generator, radius: float, margin: float) -> Track:
    """Once around, clockwise, from anywhere on the circle."""
    orbit, angle = rng.uniform(14.0, 20.0), rng.uniform(0.0, 2 * np.pi) + 2 * np.pi * _TIME
    return _moving(rng, radius, margin, orbit * np.cos(angle), orbit * np.sin(angle), np.ones(FRAMES))


def _bouncing(rng: np.random.Generator, radius: float, margin: float) -> Track:
    """Two arcs of a thrown ball, from the floor and back to it."""
    phase = (2.0 * _TIME) % 1.0
    height = rng.uniform(26.0, 38.0)
    y = -height * 4.0 * phase * (1.0 - phase)
    return _moving(rng, radius, margin, np.zeros(FRAMES), y, np.ones(FRAMES))


def _growing(rng: np.random.Generator, radius: float, margin: float) -> Track:
    """From seven tenths of its size to twice that."""
    return _moving(rng, radius, margin, np.zeros(FRAMES), np.zeros(FRAMES), 0.7 + 0.7 * _TIME)


PLACERS: dict[Motion, Placer] = {
    Motion.RIGHT: _straight(1, 0),
    Motion.LEFT: _straight(-1, 0),
    Motion.UP: _straight(0, -1),
    Motion.DOWN: _straight(0, 1),
    Motion.STILL: _still,
    Motion.CIRCLE: _circling,
    Motion.BOUNCE: _bouncing,
    Motion.GROW: _growing,
}
