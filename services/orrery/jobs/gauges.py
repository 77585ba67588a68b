"""Queue depth in Prometheus' terms: what autoscalers scale each stage by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from orrery.jobs.records import PoolStatus
from orrery.worlds.contracts import POOLED

MEANINGS = {
    "waiting": "Tasks of the pool that no worker holds",
    "running": "Tasks of the pool that a worker holds",
    "workers": "Live workers that serve the pool",
}


class PoolGauges(Collector):
    """`orrery_pool_waiting|running|workers{pool}` of the last look, whether the job store answered it, and
    `orrery_stage_depth{stage}`, which is there for every stage, also for one that sleeps: what it is to be woken by.
    """

    def __init__(self) -> None:
        self._pools: Mapping[str, PoolStatus] = {}
        self._up = False

    def update(self, pools: Mapping[str, PoolStatus]) -> None:
        self._pools, self._up = pools, True

    def lost(self) -> None:
        """Without an answer there is no depth to tell: an old one would keep machines running, or off."""
        self._pools, self._up = {}, False

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("orrery_job_store_up", "Whether the job store answered the last look", value=float(self._up))
        for name, meaning in MEANINGS.items():
            family = GaugeMetricFamily(f"orrery_pool_{name}", meaning, labels=["pool"])
            for pool, status in self._pools.items():
                family.add_metric([pool], getattr(status, name))
            yield family
        yield self._depth()

    def _depth(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily("orrery_stage_depth", "Tasks of the stage that wait or are held", labels=["stage"])
        for stage in POOLED if self._up else ():
            pools = (status for pool, status in self._pools.items() if pool.partition("/")[0] == stage)
            family.add_metric([stage], sum(status.depth for status in pools))
        return family
