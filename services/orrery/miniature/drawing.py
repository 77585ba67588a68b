"""Pictures of scenes: the frames, and what control models will be given of them.

The functions that draw take the array library as an argument, NumPy or PyTorch, and work in both alike: clips for training are
drawn on the device that trains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from orrery.miniature.scenes import Scene
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, FRAMES, SIDE, Shape

Array = Any
"""Of NumPy or PyTorch."""

SHAPES = tuple(Shape)
_BLUR = 9


def circle(dx: Array, dy: Array, r: Array, xp: Any) -> Array:
    """Signed distance in pixels, negative inside; so are the next three. All have the area of a square of half-side `r`."""
    return xp.sqrt(dx * dx + dy * dy) - r * 1.128


def square(dx: Array, dy: Array, r: Array, xp: Any) -> Array:
    return xp.maximum(xp.abs(dx), xp.abs(dy)) - r


def triangle(dx: Array, dy: Array, r: Array, xp: Any) -> Array:
    """Equilateral, point up, its centroid in the centre; inscribed radius 0.877 r, so corners reach 1.75 r."""
    inner = r * 0.877
    return xp.maximum(xp.abs(dx) * 0.8660254 - dy * 0.5, dy) - inner


def cross(dx: Array, dy: Array, r: Array, xp: Any) -> Array:
    """Two bars, three times as long as wide."""
    ax, ay = xp.abs(dx), xp.abs(dy)
    long, wide = xp.maximum(ax, ay), xp.minimum(ax, ay)
    return xp.maximum(long - r * 1.342, wide - r * 0.447)


DISTANCES = {Shape.CIRCLE: circle, Shape.SQUARE: square, Shape.TRIANGLE: triangle, Shape.CROSS: cross}


def coverage(shape: Array, x: Array, y: Array, radius: Array, grid: tuple[Array, Array], xp: Any) -> Array:
    """How much of each pixel the object covers, 0 to 1.

    `shape` (an index into `SHAPES`), `x`, `y` and `radius` broadcast against each other, with two last axes of length 1 for the
    pixels; `grid` is (rows [H, 1], columns [1, W]) of pixel centres.
    """
    dx, dy = grid[1] - x, grid[0] - y
    distance = sum((shape == index) * DISTANCES[kind](dx, dy, radius, xp) for index, kind in enumerate(SHAPES))
    return xp.clip(0.5 - distance, 0.0, 1.0)


def compose(background: Array, colours: Array, covers: Array) -> Array:
    """Paints objects over the background, first to last.

    `background` [..., 3], `colours` [..., objects, 3], `covers` [..., objects, H, W] to [..., H, W, 3]; in any unit.
    """
    picture = background[..., None, None, :]
    for index in range(covers.shape[-3]):
        cover = covers[..., index, :, :, None]
        picture = picture + cover * (colours[..., index, None, None, :] - picture)
    return picture


def covers(scene: Scene) -> NDArray[np.float64]:
    """[frames, things, H, W]: how much of each pixel each thing covers."""
    centres = np.arange(SIDE) + 0.5
    drawn = [
        coverage(
            np.array(SHAPES.index(thing.shape)),
            thing.track.x[:, None, None],
            thing.track.y[:, None, None],
            thing.track.radius[:, None, None],
            (centres[:, None], centres[None, :]),
            np,
        )
        for thing in scene.things
    ]
    return np.stack(drawn, axis=1)


def frames(scene: Scene) -> NDArray[np.uint8]:
    """The clip, [33, 96, 96, 3]."""
    background = np.array(BACKGROUNDS[scene.background], dtype=np.float64)
    colours = np.array([COLOURS[thing.colour] for thing in scene.things], dtype=np.float64)
    picture = compose(
        np.broadcast_to(background, (FRAMES, 3)), np.broadcast_to(colours, (FRAMES, *colours.shape)), covers(scene)
    )
    return np.asarray(np.rint(picture), dtype=np.uint8)


def segmentation(scene: Scene) -> NDArray[np.uint8]:
    """[33, 96, 96]: 0 where the background is seen, n where the scene's nth thing (from 1) is."""
    labels = np.zeros((FRAMES, SIDE, SIDE), dtype=np.uint8)
    for number, cover in enumerate(np.moveaxis(covers(scene), 1, 0), start=1):
        labels[cover >= 0.5] = number
    return labels


def depth(scene: Scene) -> NDArray[np.uint8]:
    """[33, 96, 96]: 0 for the background, 255 for the nearest thing, evenly between them by the order of depth."""
    return np.asarray(np.rint(segmentation(scene).astype(np.float64) * 255 / len(scene.things)), dtype=np.uint8)


def edges(scene: Scene) -> NDArray[np.uint8]:
    """[33, 96, 96]: 255 on pixels whose right or lower neighbour belongs to something else."""
    labels = segmentation(scene)
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, :, :-1] |= labels[:, :, :-1] != labels[:, :, 1:]
    edge[:, :-1, :] |= labels[:, :-1, :] != labels[:, 1:, :]
    return np.where(edge, np.uint8(255), np.uint8(0))


def blur(scene: Scene) -> NDArray[np.uint8]:
    """[33, 96, 96, 3]: the frames under a box of 9 x 9 pixels, edge pixels repeated."""
    picture = frames(scene).astype(np.float64)
    for axis in (1, 2):
        padding = [(0, 0)] * 4
        padding[axis] = (_BLUR // 2, _BLUR // 2)
        padded = np.pad(picture, padding, mode="edge")
        picture = np.lib.stride_tricks.sliding_window_view(padded, _BLUR, axis=axis).mean(axis=-1)
    return np.asarray(np.rint(picture), dtype=np.uint8)
