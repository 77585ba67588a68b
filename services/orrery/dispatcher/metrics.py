"""What a dispatcher counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge

from orrery.dispatcher.incidents import IncidentCounters
from orrery.dispatcher.sweeping import Sweep
from orrery.dispatcher.webhooks import OUTCOMES
from orrery.jobs.gauges import PoolGauges
from orrery.telemetry.instruments import Instruments


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
    incidents: IncidentCounters = field(default_factory=IncidentCounters)

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


def new_metrics(instruments: Instruments | None = None) -> Metrics:
    """Made with the instruments of the process, or with some of its own."""
    made = instruments or Instruments()
    metrics = Metrics(
        registry=made.registry,
        webhooks=made.counter(
            "webhook_attempts", "Attempts to deliver a webhook, by what came of them", "outcome", known=OUTCOMES
        ),
        pending=made.gauge("webhooks_pending", "Webhooks that are owed"),
        removed=made.counter("swept", "What sweeps removed, or in a dry run counted", "what", "done"),
        removed_bytes=made.counter("swept_bytes", "Bytes of the artifacts that sweeps removed or counted", "done"),
        stored=made.gauge("artifacts", "Artifacts at the last sweep, all and those that nothing names", "which"),
        stored_bytes=made.gauge("artifact_bytes", "Bytes of the artifacts at the last sweep", "which"),
        sweeps=made.counter("sweeps", "Sweeps, done and failed", "outcome", known=("done", "failed")),
    )
    made.collect(metrics.pools)
    made.collect(metrics.incidents)
    return metrics
