"""What a dispatcher counts, in a registry of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge

from orrery.dispatcher.sweeping import Sweep
from orrery.jobs.gauges import PoolGauges


@dataclass(frozen=True)
class Metrics:
    """Of a dry run the counters say what would have been removed, again at every sweep."""

    registry: CollectorRegistry
    webhooks: Counter
    pending: Gauge
    removed: Counter
    removed_bytes: Counter
    stored: Gauge
    stored_bytes: Gauge
    sweeps: Counter
    pools: PoolGauges = field(default_factory=PoolGauges)

    def swept(self, sweep: Sweep, *, dry_run: bool) -> None:
        done = "counted" if dry_run else "removed"
        for what in ("jobs", "memos", "artifacts"):
            self.removed.labels(what, done).inc(getattr(sweep, what))
        self.removed_bytes.labels(done).inc(sweep.artifact_bytes)
        self.stored.labels("all").set(sweep.stored)
        self.stored.labels("unneeded").set(sweep.unneeded)
        self.stored_bytes.labels("all").set(sweep.stored_bytes)
        self.stored_bytes.labels("unneeded").set(sweep.unneeded_bytes)
        self.sweeps.labels("done").inc()


def new_metrics() -> Metrics:
    registry = CollectorRegistry()

    def counter(name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"orrery_{name}", meaning, labels, registry=registry)

    def gauge(name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"orrery_{name}", meaning, labels, registry=registry)

    metrics = Metrics(
        registry=registry,
        webhooks=counter("webhook_attempts", "Attempts to deliver a webhook, by what came of them", "outcome"),
        pending=gauge("webhooks_pending", "Webhooks that are owed"),
        removed=counter("swept", "What sweeps removed, or in a dry run counted", "what", "done"),
        removed_bytes=counter("swept_bytes", "Bytes of the artifacts that sweeps removed or counted", "done"),
        stored=gauge("artifacts", "Artifacts at the last sweep, all and those that nothing names", "which"),
        stored_bytes=gauge("artifact_bytes", "Their bytes", "which"),
        sweeps=counter("sweeps", "Sweeps, done and failed", "outcome"),
    )
    registry.register(metrics.pools)
    return metrics
