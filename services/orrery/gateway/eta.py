"""How long tasks take, learned from those that were done: a fixed time, and a time for each step."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import fsum
from statistics import median

WINDOW = 64
"""Times that are remembered of one kind of task."""

MAX_KINDS = 1024

TOLERANCE = 3.5
"""Robust standard deviations from the line beyond which a time counts as an accident."""

ALWAYS_NEAR = 1e-3
"""A relative error that is no accident: in perfect data the deviation is nothing, and rounding would be one."""

SHORTEST = 1e-4
"""Seconds below which times are not told apart."""

_DEVIATIONS = 1.4826  # of a normal distribution, one standard deviation is so many median deviations

Point = tuple[int, float]
"""Steps and seconds."""


@dataclass(frozen=True)
class Line:
    """seconds = fixed + steps * per_step"""

    fixed: float
    per_step: float

    def seconds(self, steps: int) -> float:
        return max(0.0, self.fixed + steps * self.per_step)


def fit(points: Sequence[Point]) -> Line:
    """Least squares of the relative errors over the points (at least one), without those far from the median line.

    While only one number of steps was seen, all the time is put on the steps.
    """
    rough = _median_line(points)
    misses = [abs(seconds - rough.seconds(steps)) * _weight(seconds) for steps, seconds in points]
    near = max(TOLERANCE * _DEVIATIONS * median(misses), ALWAYS_NEAR)
    kept = [point for point, miss in zip(points, misses, strict=True) if miss <= near]
    return _least_squares(kept) if len({steps for steps, _ in kept}) > 1 else _median_line(kept or points)


def _weight(seconds: float) -> float:
    return 1.0 / max(seconds, SHORTEST)


def _median_line(points: Sequence[Point]) -> Line:
    """Theil and Sen's: the median of the slopes between any two points."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if a[0] != b[0]]
    if slopes:
        slope = median(slopes)
        return Line(median(seconds - slope * steps for steps, seconds in points), slope)
    steps, seconds = points[0][0], median(seconds for _, seconds in points)
    return Line(0.0, seconds / steps) if steps else Line(seconds, 0.0)


def _least_squares(points: Sequence[Point]) -> Line:
    weights = [_weight(y) ** 2 for _, y in points]
    steps = fsum(w * x for w, (x, _) in zip(weights, points, strict=True)) / fsum(weights)
    seconds = fsum(w * y for w, (_, y) in zip(weights, points, strict=True)) / fsum(weights)
    spread = fsum(w * (x - steps) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    slope = fsum(w * (x - steps) * (y - seconds) for w, (x, y) in zip(weights, points, strict=True)) / spread
    return Line(seconds - slope * steps, slope)


@dataclass
class _Kind:
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=WINDOW))
    line: Line | None = None


class LatencyModel:
    """One line for each kind of task (a pool and what shapes its work), in bounded memory: kinds long unseen are forgotten."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()

    def learn(self, kind: Hashable, steps: int, seconds: float) -> None:
        known = self._kinds.setdefault(kind, _Kind())
        known.points.append((steps, seconds))
        known.line = None
        self._kinds.move_to_end(kind)
        if len(self._kinds) > MAX_KINDS:
            self._kinds.popitem(last=False)

    def line(self, kind: Hashable) -> Line | None:
        """None if no task of the kind was seen."""
        known = self._kinds.get(kind)
        if known is None:
            return None
        if known.line is None:
            known.line = fit(known.points)
        return known.line
