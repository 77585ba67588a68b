"""What autoscalers read: a stage that sleeps is told too, and nothing is told that is not known."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from orrery.jobs.gauges import PoolGauges
from orrery.jobs.records import PoolStatus
from orrery.worlds.contracts import POOLED


def depths(gauges: PoolGauges) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(gauges)
    (family,) = [family for family in registry.collect() if family.name == "orrery_stage_depth"]
    return {sample.labels["stage"]: sample.value for sample in family.samples}


def test_a_stage_is_as_deep_as_all_its_pools_with_what_waits_and_what_runs() -> None:
    gauges = PoolGauges()
    gauges.update(
        {
            "denoiser/one": PoolStatus(waiting=3, running=2, workers=1),
            "denoiser/two": PoolStatus(waiting=0, running=4, workers=1),
            "denoiser_unary/one": PoolStatus(waiting=7, running=7, workers=0),
            "publisher": PoolStatus(waiting=1, running=0, workers=0),
        }
    )
    assert depths(gauges) == dict.fromkeys(POOLED, 0.0) | {"denoiser": 9.0, "publisher": 1.0}


def test_a_depth_that_nobody_knows_is_not_told() -> None:
    gauges = PoolGauges()
    assert depths(gauges) == {}
    gauges.update({})
    assert depths(gauges) == dict.fromkeys(POOLED, 0.0)
    gauges.lost()
    assert depths(gauges) == {}
