"""How long tasks take, learned from those that were done: a fixed time, and a time for each step."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean, median

WINDOW = 64
"""Times that are remembered of one kind of task."""

MAX_KINDS = 1024

TOLERANCE = 3.5
"""Robust standard deviations from the line beyond which a time counts as an accident."""

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
    """Least squares over the points (at least one) without those that lie far from the median line.

    While only one number of steps was seen, all the time is put on the steps.
    """
    rough = _median_line(points)
    misses = [abs(seconds - rough.seconds(steps)) for steps, seconds in points]
    # A tenth of a percent always counts as near: in perfect data the deviation is nothing, and rounding would be an accident.
    near = max(TOLERANCE * _DEVIATIONS * median(misses), 1e-3 * median(seconds for _, seconds in points))
    kept = [point for point, miss in zip(points, misses, strict=True) if miss <= near]
    return _least_squares(kept) if len({steps for steps, _ in kept}) > 1 else _median_line(kept or points)


def _median_line(points: Sequence[Point]) -> Line:
    """Theil and Sen's: the median of the slopes between any two points."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if a[0] != b[0]]
    if slopes:
        slope = median(slopes)
        return Line(median(seconds - slope * steps for steps, seconds in points), slope)
    steps, seconds = points[0][0], median(seconds for _, seconds in points)
    return Line(0.0, seconds / steps) if steps else Line(seconds, 0.0)


def _least_squares(points: Sequence[Point]) -> Line:
    steps, seconds = fmean(x for x, _ in points), fmean(y for _, y in points)
    slope = sum((x - steps) * (y - seconds) for x, y in points) / sum((x - steps) ** 2 for x, _ in points)
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
