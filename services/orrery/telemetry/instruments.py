"""What a process counts: made in one place, so that names keep Prometheus' conventions and can be listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

PREFIX = "orrery_"
FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Buckets, in seconds, of what a client or a machine waits for."""
SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Buckets, in seconds, of work on a device."""


@dataclass(frozen=True)
class Described:
    """A metric as a reader of `/metrics` meets it."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


class Instruments:
    """A registry, and what is in it, beside what Prometheus' client says of every process.

    Names are given without `orrery_`, counters without `_total`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.described: list[Described] = []

    def counter(self, name: str, meaning: str, *labels: str, known: Iterable[str] = ()) -> Counter:
        """With one label, `known` are values that begin at zero, so that the first increase is one.

        Raises `ValueError` for a name that is there.
        """
        self.described.append(Described(f"{PREFIX}{name}_total", "counter", meaning, labels))
        made = Counter(PREFIX + name, meaning, labels, registry=self.registry)
        for value in known:
            made.labels(value)
        return made

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """Raises `ValueError` for a name that is there."""
        self.described.append(Described(PREFIX + name, "gauge", meaning, labels))
        return Gauge(PREFIX + name, meaning, labels, registry=self.registry)

    def histogram(self, name: str, meaning: str, *labels: str, buckets: Sequence[float] = FAST) -> Histogram:
        """Raises `ValueError` for a name that is there."""
        self.described.append(Described(PREFIX + name, "histogram", meaning, labels))
        return Histogram(PREFIX + name, meaning, labels, buckets=buckets, registry=self.registry)

    def collect(self, collector: Collector) -> None:
        """Adds what finds out its values only when it is asked; it must name all its metrics before the first of them."""
        self.described.extend(map(_described, collector.collect()))
        self.registry.register(collector)


def _described(family: Metric) -> Described:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Described(name, family.type, family.documentation, tuple(getattr(family, "_labelnames", ())))
