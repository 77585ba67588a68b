"""How fast each caller may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

CALLERS_KEPT = 10_000
"""The one that has not asked for longest is forgotten, which fills its bucket."""


class Buckets:
    """Token buckets by caller. `clock` gives seconds."""

    def __init__(self, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = float(burst)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, per_second: float) -> float:
        """Takes a token. 0, or in how many seconds there will be one; then none is taken."""
        now = self._clock()
        tokens, at = self._left.pop(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * per_second)
        enough = tokens >= 1
        self._left[caller] = (tokens - 1 if enough else tokens, now)
        if len(self._left) > CALLERS_KEPT:
            self._left.popitem(last=False)
        return 0.0 if enough else (1 - tokens) / per_second
