"""Noise levels of Predict2."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGMA_MAX = 80.0
SIGMA_MIN = 0.002
RHO = 7.0


def karras_sigmas(count: int) -> NDArray[np.float64]:
    """`count` levels from `SIGMA_MAX` down to `SIGMA_MIN`, evenly spaced in sigma^(1/rho) (Karras et al. 2022, equation 5)."""
    sigmas: NDArray[np.float64] = karras_sigma(np.linspace(0, 1, count))
    return sigmas


def karras_sigma(progress: Any) -> Any:
    """The level at `progress` in [0, 1], an array or tensor of any shape."""
    first, last = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return (first + progress * (last - first)) ** RHO
