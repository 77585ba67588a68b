"""The motion of a region from where its centre is and how large it is in each frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orrery.miniature.vocabulary import Motion

Floats = NDArray[np.float64]

STILL_WITHIN = 7.0
"""Pixels to each side within which a thing may stir and be still."""
FAR = 20.0
"""Pixels that a straight motion covers at least; scenes ask for 34 to 48."""
GROWN = 2.0
"""How many times its first area a growing thing ends with at least; scenes ask for 4. Others stay below `STEADY`."""
STEADY = 1.6
SWING = 10.0
"""Pixels up or down that make a reversal; scenes bounce 26 to 38 high."""
TURNED = 1.5 * np.pi
"""Radians around its middle that a circling thing goes at least; scenes ask for once around."""
ORBIT = 16.0
"""Pixels that a circle is wide and high at least; scenes ask for 28 to 40."""
LEAP = 20.0
"""Pixels from one frame to the next that nothing moves; the fastest bounce makes 10."""
_ENDS = 3
"""Frames at either end whose mean area counts."""


@dataclass(frozen=True)
class Path:
    """What is measured of a track, in pixels; y grows downward."""

    net: tuple[float, float]
    width: float
    height: float
    length: float
    winding: float
    """Radians around the middle, clockwise as seen."""
    reversals: int
    """Turns from up to down or back."""
    growth: float
    """Area at the end over that at the beginning."""
    leap: float
    """The longest way between two frames."""

    @property
    def steady(self) -> bool:
        return 1 / STEADY <= self.growth <= STEADY

    def straight(self, along: float, across: float) -> bool:
        """Whether it goes straight by `along` (positive) with `across` beside it."""
        return self.steady and along >= FAR and across <= 0.35 * along and self.length <= 1.35 * along


def measured(x: Floats, y: Floats, area: Floats) -> Path:
    """The path of centres x, y with those areas in pixels, one of each per frame, at least two frames."""
    smooth_x, smooth_y = _smoothed(x), _smoothed(y)
    steps = np.hypot(np.diff(x), np.diff(y))
    angles = np.unwrap(np.arctan2(smooth_y - _middle(smooth_y), smooth_x - _middle(smooth_x)))
    return Path(
        net=(float(smooth_x[-1] - smooth_x[0]), float(smooth_y[-1] - smooth_y[0])),
        width=float(np.ptp(smooth_x)),
        height=float(np.ptp(smooth_y)),
        length=float(np.hypot(np.diff(smooth_x), np.diff(smooth_y)).sum()),
        winding=float(angles[-1] - angles[0]),
        reversals=_reversals(smooth_y),
        growth=float(area[-_ENDS:].mean() / area[:_ENDS].mean()),
        leap=float(steps.max()),
    )


RULES: dict[Motion, Callable[[Path], bool]] = {
    Motion.RIGHT: lambda path: path.straight(path.net[0], path.height),
    Motion.LEFT: lambda path: path.straight(-path.net[0], path.height),
    Motion.UP: lambda path: path.straight(-path.net[1], path.width),
    Motion.DOWN: lambda path: path.straight(path.net[1], path.width),
    Motion.STILL: lambda path: path.steady and max(path.width, path.height) <= STILL_WITHIN,
    Motion.GROW: lambda path: path.growth >= GROWN and max(path.width, path.height) <= 2 * STILL_WITHIN,
    Motion.CIRCLE: lambda path: (
        path.steady
        and abs(path.winding) >= TURNED
        and min(path.width, path.height) >= max(ORBIT, 0.6 * max(path.width, path.height))
    ),
    Motion.BOUNCE: lambda path: path.steady and path.reversals >= 3 and path.width <= max(STILL_WITHIN, 0.4 * path.height),
}
"""No two hold of the same path."""


def motion_of(x: Floats, y: Floats, area: Floats) -> Motion | None:
    """The motion, or None if it is none that scenes have."""
    path = measured(x, y, area)
    return next((motion for motion, holds in RULES.items() if path.leap <= LEAP and holds(path)), None)


def _smoothed(values: Floats) -> Floats:
    """Means over three frames, the ends as they are: a pixel's tremble adds no length."""
    smooth = values.copy()
    smooth[1:-1] = (values[:-2] + values[1:-1] + values[2:]) / 3
    return smooth


def _middle(values: Floats) -> float:
    return float(values.max() + values.min()) / 2


def _reversals(y: Floats) -> int:
    """How often y turns back by `SWING` or more."""
    turns, heading, extreme = 0, 0, float(y[0])
    for value in map(float, y):
        moved = value - extreme
        if heading * moved > 0 or (heading == 0 and abs(moved) >= SWING):
            heading, extreme = int(np.sign(moved)), value
        elif abs(moved) >= SWING:
            turns, heading, extreme = turns + 1, -heading, value
    return turns
