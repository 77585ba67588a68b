"""How good a clip's picture is, whatever it shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from orrery.evaluation.regions import Frames, Mask

SAME = 100.0
"""Decibels said of pictures that are equal."""


def psnr(frames: Frames, given: Frames) -> float:
    """Peak signal-to-noise ratio in decibels of the first frames of a clip against those given to it; `SAME` at most."""
    error = float(np.square(frames[: len(given)].astype(np.float64) - given).mean())
    return min(SAME, 10 * math.log10(255**2 / error)) if error else SAME


def flicker(frames: Frames, rest: Mask) -> float:
    """How much pixels that nothing passes change from one frame to the next, in 8-bit levels; 0 where there are none."""
    quiet = rest[1:] & rest[:-1]
    change = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=-1)
    return float(change[quiet].mean()) if quiet.any() else 0.0


def jitter(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """How much a centre's way per frame changes from one frame to the next, in pixels, the median; 0 for an even pace.

    Circling and bouncing themselves change it, by 0.5 to 1.2 pixels. Needs three frames.
    """
    return float(np.median(np.hypot(np.diff(x, 2), np.diff(y, 2))))
