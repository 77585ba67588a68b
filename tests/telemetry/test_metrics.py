"""What the processes count, read as Prometheus reads it."""

from __future__ import annotations

import re

import httpx
import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest

from dispatcher.work import submission
from gateway.rig import eventually
from orrery.artifacts import open_store
from orrery.dispatcher.metrics import new_metrics as dispatcher_metrics
from orrery.dispatcher.serve import Stores, look
from orrery.gateway.metrics import new_metrics as gateway_metrics
from orrery.jobs.batches.memory import MemoryBatches
from orrery.jobs.deliveries import MemoryDeliveries
from orrery.jobs.files import MemoryFiles
from orrery.jobs.memory import MemoryJobs
from orrery.telemetry.exporting import metrics_served
from orrery.telemetry.instruments import Instruments
from orrery.telemetry.process import Telemetry
from orrery.telemetry.traffic import ArtifactTraffic
from orrery.worker.observing import WorkMetrics
from orrery.worlds.errors import InvalidField, StageUnavailable
from telemetry.rig import STEPS, rig_of

IMAGE = {"stage": "denoiser", "component": "tiny-predict2-text2image"}
WORLD = {"stage": "denoiser", "component": "tiny-predict2-video2world"}
TEXT = {"stage": "text_encoder", "component": "tiny-t5"}
UNITS = ("_seconds", "_bytes", "_ratio")


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.instruments.registry.get_sample_value(f"orrery_{name}", labels)


async def test_a_worker_counts_tasks_steps_checkpoints_and_memos() -> None:
    async with rig_of(Telemetry(), Telemetry()) as rig:
        rig.stages["denoiser"].trouble = StageUnavailable("Triton is gone")
        await rig.make()
        await rig.make(seed=9)
    worker = rig.worker
    outcomes = {name: value(worker, "tasks_total", **IMAGE, outcome=name) for name in ("done", "retried", "failed", "dropped")}
    assert outcomes == {"done": 2, "retried": 1, "failed": 0, "dropped": 0}
    assert value(worker, "tasks_total", **WORLD, outcome="done") == 2
    assert value(worker, "task_wait_seconds_count", **IMAGE) == 3
    assert value(worker, "stage_seconds_count", **IMAGE) == 2
    # How long the first step of a call took is not known.
    assert value(worker, "step_seconds_count", **WORLD) == 2 * (STEPS - 1)
    assert value(worker, "checkpoint_seconds_count", **WORLD) == 2
    assert value(worker, "checkpoint_bytes_total", **WORLD) == 2 * 64
    assert value(worker, "memo_lookups_total", **TEXT, result="hit") == 3
    assert value(worker, "memo_lookups_total", **TEXT, result="miss") == 3
    assert value(worker, "stage_ready", stage="denoiser") == 1
    written = value(worker, "artifact_written_bytes_total")
    assert written is not None
    assert written > 2 * 64
    assert value(worker, "artifact_errors_total", code="storage_full") == 0


async def test_a_task_that_fails_for_good_is_told_from_one_that_is_tried_again() -> None:
    async with rig_of(Telemetry(), Telemetry()) as rig:
        rig.stages["denoiser"].trouble = InvalidField("no such sampler", field="sampler")
        await rig.make()
        await eventually(lambda: _true(value(rig.gateway, "jobs_failed_total", code="invalid_field") == 1))
    assert value(rig.worker, "tasks_total", **IMAGE, outcome="failed") == 1
    assert value(rig.gateway, "jobs_ended_total", state="failed") == 1


async def _true(met: bool) -> bool:
    return met


async def test_a_gateway_counts_what_it_takes_and_refuses_and_how_its_forecasts_did() -> None:
    async with rig_of(Telemetry(), Telemetry()) as rig:
        for seed in (1, 2):
            await rig.make(seed=seed)
        await rig.client.post("/v1/videos", json={"prompt": "a ball", "num_frames": 4})
        await rig.client.post("/v1/videos", json={"prompt": "a ball", "colour": "red"})
        form = {"prompt": "it moves"}
        await rig.client.post("/v1/videos", data=form, files={"input_reference": ("a.png", b"no image")})
        await eventually(lambda: _true(value(rig.gateway, "eta_error_ratio_count") == 1))
    gateway, workflow = rig.gateway, {"model": "tiny-predict2", "workflow": "text2world"}
    assert value(gateway, "jobs_submitted_total", **workflow) == 2
    assert value(gateway, "job_seconds_count", **workflow) == 2
    refused = {code: value(gateway, "submit_rejections_total", code=code) for code in ("invalid_field", "unknown_field")}
    assert refused == {"invalid_field": 1, "unknown_field": 1}
    assert value(gateway, "submit_rejections_total", code="invalid_media") == 1
    assert value(gateway, "upload_decode_seconds_count") == 1
    route = {"method": "POST", "route": "/v1/videos"}
    assert value(gateway, "http_requests_total", **route, status="202") == 2
    assert value(gateway, "http_requests_total", **route, status="422") == 3


async def test_methods_that_clients_make_up_are_one_series() -> None:
    async with rig_of(Telemetry(), Telemetry()) as rig:
        for number in range(3):
            assert (await rig.client.request(f"BREW{number}", "/v1/videos")).status_code == 405
    counted = [sample for family in _families(rig.gateway.instruments.registry) for sample in family.samples]
    methods = {sample.labels["method"] for sample in counted if sample.name == "orrery_http_requests_total"}
    assert methods == {"other"}


async def test_a_dispatcher_tells_what_the_store_counted_from_zero_on() -> None:
    jobs, made = MemoryJobs(), Instruments()
    metrics = dispatcher_metrics(made)
    stores = Stores(jobs, MemoryDeliveries(), open_store("memory://"), MemoryFiles(), MemoryBatches())
    job = await jobs.submit(submission("job"))
    pool = job.tasks[0].pool
    await look(stores, metrics)
    assert made.registry.get_sample_value("orrery_retries_total", {"pool": pool}) == 0
    for _ in range(3):
        claim = await jobs.claim([pool], "ann", wait=0)
        assert claim is not None
        await jobs.fail(claim, {"code": "stage_failed", "message": "no"}, retry=True)
    await look(stores, metrics)
    counted = {
        name: made.registry.get_sample_value(f"orrery_{name}_total", {"pool": pool}) for name in ("retries", "dead_letters")
    }
    assert counted == {"retries": 2, "dead_letters": 1}
    assert made.registry.get_sample_value("orrery_dead_jobs") == 1


def test_metrics_are_served_until_the_context_ends() -> None:
    made = Instruments()
    made.counter("things", "Of a test").inc()
    with metrics_served("127.0.0.1", 0, made.registry) as port:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        assert "orrery_things_total 1.0" in text
        assert "process_resident_memory_bytes" in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)


def every() -> Instruments:
    """Of all processes; those that two have have the same names."""
    made = Instruments()
    gateway_metrics(made)
    WorkMetrics(made)
    ArtifactTraffic(made)
    return made


def test_names_follow_prometheus_conventions() -> None:
    for metric in (*every().described, *_dispatcher().described):
        assert re.fullmatch(r"orrery_[a-z][a-z0-9_]*", metric.name)
        assert metric.meaning
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric
        assert metric.name.endswith(UNITS) or metric.kind != "histogram", metric


def test_nothing_that_grows_with_the_work_is_a_label() -> None:
    labels = {label for metric in (*every().described, *_dispatcher().described) for label in metric.labels}
    assert labels.isdisjoint({"job", "job_id", "task", "tenant", "key", "worker", "url", "path", "prompt", "digest"})


def _dispatcher() -> Instruments:
    made = Instruments()
    dispatcher_metrics(made)
    return made


def test_what_is_described_is_what_is_exported() -> None:
    for made in (every(), _dispatcher()):
        families = {family.name for family in _families(made.registry)}
        assert {metric.name.removesuffix("_total") for metric in made.described} == families


def _families(registry: CollectorRegistry) -> list[Metric]:
    assert generate_latest(registry)
    return [family for family in registry.collect() if family.name.startswith("orrery_")]
