"""Which workers of a `MemoryJobs` said that they serve which pools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable


class Roster:
    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._pools: dict[str, frozenset[str]] = {}
        self._silent_from: dict[str, float] = {}

    def announce(self, worker: str, pools: Iterable[str], seconds: float) -> None:
        self._pools[worker] = frozenset(pools)
        self._silent_from[worker] = self._clock() + seconds

    def serving(self, pool: str) -> list[str]:
        return [worker for worker in self._present() if pool in self._pools[worker]]

    def workers(self) -> Counter[str]:
        """Number of workers by pool, without those gone silent."""
        return Counter(pool for worker in self._present() for pool in self._pools[worker])

    def _present(self) -> list[str]:
        return [worker for worker, end in self._silent_from.items() if end > self._clock()]
