"""Which pixels belong to which colour: nearest palette colours and connected regions, for all frames of a clip at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
"""[frames, H, W]"""
Frames = NDArray[np.uint8]
"""[frames, H, W, RGB]"""
Floats = NDArray[np.float64]

_WINDOW = 5
"""Side of the square in which a region's densest place is looked for, in pixels."""
_DENSE = 0.6
"""Share of that square which a region fills somewhere: lines of mixed pixels along an edge never do."""


def nearest(pixels: NDArray[np.uint8], palette: Floats, within: float) -> NDArray[np.intp]:
    """Index of the nearest colour of `palette` [colours, 3] for each of `pixels` [..., 3]; -1 where none lies within in RGB."""
    values, colours = pixels.astype(np.float32), palette.astype(np.float32)
    # The square of the pixel itself is the same for every colour.
    beyond = np.square(colours).sum(axis=-1)[:, None] - 2 * colours @ values.reshape(-1, 3).T
    best = beyond.argmin(axis=0)
    squares = np.einsum("...c,...c->...", values, values).ravel() + beyond.min(axis=0)
    return np.where(squares < within**2, best, -1).reshape(pixels.shape[:-1])


def main_region(mask: Mask) -> Mask:
    """In each frame the connected region around the densest place of `mask`; nothing where no place is dense."""
    return grown(_seeds(mask), mask)


def grown(seeds: Mask, mask: Mask) -> Mask:
    """The connected regions of `mask` in which the seeds lie."""
    region = seeds & mask
    while True:
        wider = dilated(region) & mask
        if np.array_equal(wider, region):
            return region
        region = wider


def dilated(mask: Mask, times: int = 1) -> Mask:
    """The mask and everything within that many steps to the four sides."""
    for _ in range(times):
        wider = mask.copy()
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        wider[:, :, 1:] |= mask[:, :, :-1]
        wider[:, :, :-1] |= mask[:, :, 1:]
        mask = wider
    return mask


def _seeds(mask: Mask) -> Mask:
    density = _density(mask)
    flat = density.reshape(len(mask), -1)
    peak = flat.argmax(axis=1)
    seeds = np.zeros_like(flat, dtype=bool)
    rows = np.flatnonzero(flat.max(axis=1) >= _DENSE * _WINDOW**2)
    seeds[rows, peak[rows]] = True
    return seeds.reshape(mask.shape)


def _density(mask: Mask) -> NDArray[np.int32]:
    """How many of the pixels in the window around each pixel are set; nothing for those that are not."""
    half = _WINDOW // 2
    padded = np.pad(mask, ((0, 0), (half + 1, half), (half + 1, half))).astype(np.int32)
    total = padded.cumsum(axis=1).cumsum(axis=2)
    n = _WINDOW
    sums: NDArray[np.int32] = total[:, n:, n:] - total[:, :-n, n:] - total[:, n:, :-n] + total[:, :-n, :-n]
    return sums * mask
