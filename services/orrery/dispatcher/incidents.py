"""What the job store counts itself, so that it outlives every process: in Prometheus' terms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from orrery.jobs.records import Incidents

MEANINGS = {
    "leases_lost": "Tasks whose worker let the lease run out, counted when somebody else takes them",
    "retries": "Tasks that failed and were queued again",
    "preemptions": "Running tasks that made room for more urgent ones",
    "dead_letters": "Tasks that used up their attempts and so ended their job",
}


class IncidentCounters(Collector):
    """`orrery_<kind>_total{pool}` since the store began, and `orrery_dead_jobs`; nothing before the first look.

    Every dispatcher tells the same: sums over them count twice.
    """

    def __init__(self) -> None:
        self._last: Incidents | None = None
        self._pools: frozenset[str] = frozenset()

    def update(self, incidents: Incidents, pools: Iterable[str]) -> None:
        """`pools` begin at zero, so that the first increase is one."""
        self._last, self._pools = incidents, self._pools.union(pools)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        last = self._last
        for kind, meaning in MEANINGS.items():
            family = CounterMetricFamily(f"orrery_{kind}", meaning, labels=["pool"])
            counts: dict[str, int] = getattr(last, kind) if last else {}
            for pool in sorted(self._pools.union(counts)):
                family.add_metric([pool], counts.get(pool, 0))
            yield family
        yield GaugeMetricFamily("orrery_dead_jobs", "Jobs that are dead letters now", value=last.dead if last else None)
