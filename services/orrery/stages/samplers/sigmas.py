"""Noise levels; those of Predict2 if not told otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGMA_MAX = 80.0
SIGMA_MIN = 0.002
RHO = 7.0


def karras_sigmas(count: int, highest: float = SIGMA_MAX, lowest: float = SIGMA_MIN) -> NDArray[np.float64]:
    """`count` levels from the highest down to the lowest, evenly spaced in sigma^(1/rho) (Karras et al. 2022, equation 5)."""
    sigmas: NDArray[np.float64] = karras_sigma(np.linspace(0, 1, count), highest, lowest)
    return sigmas


def karras_sigma(progress: Any, highest: float = SIGMA_MAX, lowest: float = SIGMA_MIN) -> Any:
    """The level at `progress` in [0, 1], an array or tensor of any shape."""
    first, last = highest ** (1 / RHO), lowest ** (1 / RHO)
    return (first + progress * (last - first)) ** RHO
