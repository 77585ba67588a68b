"""What the job store counts itself, so that it outlives every process: in Prometheus' terms."""

from __future__ import annotations

from collections.abc import Iterator

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

    def update(self, incidents: Incidents) -> None:
        self._last = incidents

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        last = self._last
        for kind, meaning in MEANINGS.items():
            family = CounterMetricFamily(f"orrery_{kind}", meaning, labels=["pool"])
            for pool, count in (getattr(last, kind) if last else {}).items():
                family.add_metric([pool], count)
            yield family
        yield GaugeMetricFamily("orrery_dead_jobs", "Jobs that are dead letters now", value=last.dead if last else None)
