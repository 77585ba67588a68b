"""Each stage is scaled by what waits and what runs, down to nothing and back."""

from __future__ import annotations

import math
import re
from contextlib import aclosing
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from helm.chart import VARIANTS, Object, one, render
from jobs.setting import completion, single, submission
from orrery.dispatcher.metrics import new_metrics
from orrery.jobs.records import PoolStatus
from orrery.jobs.redis import RedisJobs
from orrery.worker.settings import UNASKED
from valkeys import own_valkey

SELECTOR = re.compile(r'^(?P<name>\w+)\{(?P<label>\w+)="(?P<value>\w+)"\}$')


def scaled(values: dict[str, Any], stage: str = "denoiser") -> Object:
    spec: Object = one(render(values), "ScaledObject", stage)["spec"]
    return spec


def told(pools: dict[str, PoolStatus]) -> str:
    """What the dispatcher answers when these are the pools."""
    metrics = new_metrics()
    metrics.pools.update(pools)
    return generate_latest(metrics.registry).decode()


def read(page: str, location: str) -> float:
    """The value that KEDA's `metrics-api` finds: of the first sample with the name and the labels of the selector."""
    wanted = SELECTOR.match(location)
    assert wanted is not None, location
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    found = (s.value for s in samples if s.name == wanted["name"] and s.labels[wanted["label"]] == wanted["value"])
    return next(found)


def replicas(spec: Object, page: str) -> int:
    """What KEDA and its autoscaler make of it when it has been so for long: the largest that any trigger asks for."""
    values = [(read(page, one["metadata"]["valueLocation"]), one["metadata"]) for one in spec["triggers"]]
    if not any(value > float(metadata["activationTargetValue"]) for value, metadata in values):
        return int(spec["minReplicaCount"])
    asked = max(math.ceil(value / float(metadata["targetValue"])) for value, metadata in values)
    return int(min(max(asked, spec["minReplicaCount"], 1), spec["maxReplicaCount"]))


ASLEEP = VARIANTS["scale-to-zero"]


@pytest.mark.parametrize(
    ("waiting", "running", "wanted"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (2, 1, 3), (0, 4, 4), (900, 4, 4)],
    ids=["nothing", "first task", "a job alone, running", "both", "all at work", "no more than the most"],
)
def test_what_runs_counts_as_what_waits_does(waiting: int, running: int, wanted: int) -> None:
    page = told({"denoiser/one": PoolStatus(waiting=waiting, running=running, workers=running)})
    assert replicas(scaled(dict(ASLEEP)), page) == wanted


async def test_a_job_wakes_its_stage_and_keeps_its_pod_until_it_is_done() -> None:
    """On a real job store: while it is worked on nothing waits, and the pod must stay."""
    with own_valkey() as url:
        async with aclosing(RedisJobs.connect(url)) as jobs:
            assert await wanted(jobs) == 0
            await jobs.submit(submission(plan=single("denoiser")))
            assert await wanted(jobs) == 1
            claim = await jobs.claim(("denoiser",), "worker", wait=1.0)
            assert claim is not None
            assert ((await jobs.pools())["denoiser"].waiting, await wanted(jobs)) == (0, 1)
            await jobs.complete(claim, completion(claim))
            assert await wanted(jobs) == 0


async def wanted(jobs: RedisJobs) -> int:
    return replicas(scaled(dict(ASLEEP)), told(await jobs.pools()))


def test_every_pool_of_a_stage_counts_and_no_other() -> None:
    page = told(
        {
            "denoiser/one": PoolStatus(waiting=1, running=0, workers=0),
            "denoiser/two": PoolStatus(waiting=1, running=0, workers=0),
            "publisher": PoolStatus(waiting=3, running=0, workers=0),
        }
    )
    assert replicas(scaled(dict(ASLEEP)), page) == 2


def test_a_pod_that_hosts_several_stages_is_there_for_the_busiest() -> None:
    """It does one task of each at a time, so the largest depth counts and not the sum."""
    values = {"stages": {"encoders": {"hosts": ["text_encoder", "video_encoder"]}}, **ASLEEP}
    page = told(
        {
            "text_encoder/t5-11b": PoolStatus(waiting=1, running=0, workers=0),
            "video_encoder/wan2.1-vae": PoolStatus(waiting=2, running=1, workers=1),
        }
    )
    assert replicas(scaled(values, "encoders"), page) == 3


def test_tasks_per_replica_divide_the_depth() -> None:
    values = {"stageDefaults": {"scaling": {"enabled": True, "tasksPerReplica": 4}}}
    page = told({"publisher": PoolStatus(waiting=5, running=0, workers=1)})
    assert replicas(scaled(values, "publisher"), page) == 2


def test_a_stage_that_sleeps_is_asked_about_without_an_error() -> None:
    """Its pool is not known to the job store any more: no tasks, no workers."""
    page = told({})
    for stage in ("guardrail", "text-encoder", "video-encoder", "denoiser", "video-decoder", "publisher"):
        assert replicas(scaled(dict(ASLEEP), stage), page) == 0
    locations = {one(render(dict(ASLEEP)), "ScaledObject", "denoiser")["spec"]["triggers"][0]["metadata"]["valueLocation"]}
    assert locations == {'orrery_stage_depth{stage="denoiser"}'}


def test_without_a_job_store_there_is_no_number_that_could_scale_anything() -> None:
    """KEDA leaves a Deployment as it is while its scaler fails."""
    with pytest.raises(StopIteration):
        read(generate_latest(new_metrics().registry).decode(), 'orrery_stage_depth{stage="denoiser"}')


def test_keda_asks_the_dispatcher_of_the_release() -> None:
    objects = render(dict(ASLEEP))
    service = one(objects, "Service", "dispatcher")
    ((port,),) = (service["spec"]["ports"],)
    for trigger in scaled(dict(ASLEEP))["triggers"]:
        assert trigger["metadata"]["url"] == f"http://orrery-dispatcher.worlds.svc:{port['port']}/metrics"
        assert (trigger["type"], trigger["metricType"], trigger["metadata"]["format"]) == (
            "metrics-api",
            "AverageValue",
            "prometheus",
        )


def test_every_stage_of_a_plan_is_hosted_by_some_pod() -> None:
    for name, values in VARIANTS.items():
        hosted = [
            host
            for item in render(values)
            if item["kind"] == "Deployment" and item["spec"]["template"]["metadata"]["labels"].get("orrery/part") == "stage"
            for entry in item["spec"]["template"]["spec"]["containers"][0]["env"]
            if entry["name"] == "ORRERY_STAGES"
            for host in entry["value"].split(",")
        ]
        assert sorted(hosted) == sorted(UNASKED), name


def test_one_stage_is_scaled_and_the_rest_is_not() -> None:
    objects = render({"stages": {"denoiser": {"scaling": {"enabled": True, "max": 16}}}})
    (only,) = [item for item in objects if item["kind"] == "ScaledObject"]
    assert (only["metadata"]["name"], only["spec"]["maxReplicaCount"]) == ("orrery-denoiser", 16)
    assert "replicas" not in one(objects, "Deployment", "denoiser")["spec"]
    assert one(objects, "Deployment", "publisher")["spec"]["replicas"] == 1
