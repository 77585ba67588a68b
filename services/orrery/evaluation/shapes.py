"""The shape of a region by its moments, compared with those of the generator's own drawings of the same area."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from orrery.miniature.drawing import SHAPES, coverage
from orrery.miniature.vocabulary import Shape

Floats = NDArray[np.float64]

SCALES: Floats = np.array([0.03, 0.0167, 0.05, 0.03, 0.03, 0.03])
"""What counts as a difference of 1 in each of `moments`: about what parts those two shapes that it tells apart."""
UNLIKE = 0.9
"""How far moments may lie from a drawing's, on those scales, for the region to be called that shape."""
_PARTS = 3
"""Of the clip, in each of which the shape has to be the same: what turns from one into another has none."""
_CANVAS = 96


def shape_of(covers: Floats) -> Shape | None:
    """The shape of what covers these pixels [frames, H, W], empty in no frame; None if it is like no drawing, or changes."""
    sharp = _sharpened(covers)
    apart = (moments(sharp)[:, None] - np.stack([reference(round(area)) for area in sharp.sum(axis=(1, 2))])) / SCALES
    shapes = {_nearest(part) for part in np.array_split(apart, _PARTS) if len(part)}
    return shapes.pop() if len(shapes) == 1 else None


def _nearest(apart: Floats) -> Shape | None:
    """`apart` is [frames, shapes, moments]; the median over the frames counts."""
    distances = np.linalg.norm(np.median(apart, axis=0), axis=-1)
    best = int(distances.argmin())
    return SHAPES[best] if distances[best] <= UNLIKE else None


def moments(covers: Floats) -> Floats:
    """Of each region made one of area 1, [regions, 6]: none depends on place or size.

    How far it reaches out; how much more along the axes than along the diagonals (squares, crosses); how much further up
    than down (triangles); and what the drawings have none of: a heavier side, slant, and more width than height.
    """
    rows, columns = np.arange(covers.shape[1], dtype=np.float64), np.arange(covers.shape[2], dtype=np.float64)
    area = covers.sum(axis=(1, 2))
    y = rows[None, :] - (covers.sum(axis=2) @ rows / area)[:, None]
    x = columns[None, :] - (covers.sum(axis=1) @ columns / area)[:, None]

    def central(p: int, q: int) -> Floats:
        total: Floats = np.einsum("nyx,nx,ny->n", covers, x**p, y**q) / area ** (1 + (p + q) / 2)
        return total

    reach = central(2, 0) + central(0, 2)
    diagonal = central(4, 0) - 6 * central(2, 2) + central(0, 4)
    upright = central(0, 3) - 3 * central(2, 1)
    return np.stack([reach, diagonal, upright, central(3, 0), central(1, 1), central(2, 0) - central(0, 2)], axis=1)


@cache
def reference(area: int) -> Floats:
    """`moments` of every shape's drawing with about that area in pixels, [shapes, 6]."""
    centres = np.arange(_CANVAS) + 0.5
    covers = coverage(
        np.arange(len(SHAPES))[:, None, None],
        np.array(_CANVAS / 2),
        np.array(_CANVAS / 2),
        np.array(np.sqrt(area) / 2),
        (centres[:, None], centres[None, :]),
        np,
    )
    return moments(_sharpened(covers))


def _sharpened(covers: Floats) -> Floats:
    """The middle half of a mixture makes the whole step from nothing to everything, so that blur changes little."""
    return np.clip(2 * covers - 0.5, 0.0, 1.0)
