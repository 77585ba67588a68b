"""One trace for each job, as a collector of OpenTelemetry's receives it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from grpc import aio
from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError

from dispatcher.receiver import receiving
from gateway.batching import line, ordered
from gateway.samples import png
from orrery.dispatcher.messages import messages
from orrery.dispatcher.webhooks import Receivers, Webhooks
from orrery.gateway.rpc.server import grpc_serving
from orrery.jobs.cancelling import end
from orrery.jobs.deliveries import Delivery
from orrery.telemetry.logs import JsonFormatter
from orrery.telemetry.otlp import LAST_SECONDS
from orrery.telemetry.process import Telemetry
from orrery.telemetry.tracing import UNTRACED
from orrery.v1.worlds_pb2 import CreateRequest
from orrery.v1.worlds_pb2_grpc import WorldsStub
from orrery.worlds.errors import StageUnavailable
from telemetry.collector import Collector, collecting
from telemetry.rig import Rig, rig_of
from worker.rig import eventually

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
TASKS = [
    "guard_prompt",
    "image_encode_negative_text",
    "encode_text",
    "encode_negative_text",
    "image_denoise",
    "image_decode_video",
    "encode_video",
    "denoise",
    "decode_video",
    "publish",
]
SERVER, CLIENT, CONSUMER = 2, 3, 5


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def telemetry(service: str, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Telemetry:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    return Telemetry.from_environment(service, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})


@pytest.fixture
async def rig(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    both = [telemetry(service, collector, monkeypatch) for service in ("orrery-gateway", "orrery-stage")]
    async with rig_of(*both) as found:
        yield found
    close(found)


def close(rig: Rig) -> None:
    """Sends what was not sent yet; a second time does nothing."""
    rig.gateway.tracing.close()
    rig.worker.tracing.close()


async def test_a_text2world_job_is_one_trace_from_the_request_to_triton(rig: Rig, collector: Collector) -> None:
    job = await rig.make(headers={"traceparent": TRACEPARENT})
    close(rig)
    assert {span.trace for span in collector.spans} == {TRACE}
    request = collector.one("POST /v1/videos")
    assert (request.parent, request.kind, request.service) == (PARENT, SERVER, "orrery-gateway")
    assert request.attributes["http.response.status_code"] == 202
    submit = collector.one("submit")
    assert (submit.parent, submit.attributes["orrery.job.id"]) == (request.id, job.id)
    assert collector.one("plan").parent == submit.id
    assert collector.children(submit) == sorted(["plan", *(f"task {task}" for task in TASKS)])
    for record in job.tasks:
        task = collector.one(f"task {record.id}")
        assert (task.kind, task.service, task.error) == (CONSUMER, "orrery-stage", False)
        assert task.attributes["orrery.stage"] == record.stage
        assert (task.attributes["orrery.task.attempt"], task.attributes["orrery.task.outcome"]) == (1, "done")
        assert submit.start <= task.start <= task.end
    # What two tasks have in common is remembered, and not asked of Triton again.
    calls = [span for span in collector.spans if span.name.startswith("triton ")]
    computed = {record.id for record in job.tasks if not record.memo}
    assert {span.parent for span in calls} == {collector.one(f"task {name}").id for name in computed}
    assert {span.kind for span in calls} == {CLIENT}
    assert collector.one("task denoise").events == ("checkpoint",)
    assert collector.one("task denoise").attributes["orrery.task.memo"] is False


async def test_a_retry_is_a_second_span_of_the_same_trace(rig: Rig, collector: Collector) -> None:
    rig.stages["denoiser"].trouble = StageUnavailable("Triton is gone")
    job = await rig.make(headers={"traceparent": TRACEPARENT})
    close(rig)
    first, second = collector.named("task image_denoise")
    assert {span.trace for span in collector.spans} == {TRACE}
    assert [span.parent for span in (first, second)] == [collector.one("submit").id] * 2
    assert [(span.error, span.attributes["orrery.task.attempt"]) for span in (first, second)] == [(True, 1), (False, 2)]
    assert (first.attributes["error.type"], first.attributes["orrery.task.outcome"]) == ("stage_unavailable", "retried")
    assert second.attributes["orrery.task.from_step"] == 2
    failed, done = (next(span for span in collector.spans if span.parent == task.id) for task in (first, second))
    assert (failed.name, failed.error, done.error) == ("triton denoiser", True, False)
    assert job.tasks[4].attempt == 2


@pytest.mark.parametrize(
    "given", ["", "red", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", "0" * 9000, f"00-{TRACE.upper()}-{PARENT}-01"]
)
async def test_what_is_no_traceparent_begins_a_trace_of_its_own(rig: Rig, collector: Collector, given: str) -> None:
    answer = await rig.client.post("/v1/videos", json={"prompt": "a ball", "num_frames": 4}, headers={"traceparent": given})
    assert answer.status_code == 422
    close(rig)
    (span,) = collector.spans
    assert (span.parent, len(span.trace), int(span.trace, 16) > 0) == ("", 32, True)
    assert span.trace != TRACE


async def test_a_client_that_does_not_sample_is_heeded(rig: Rig, collector: Collector) -> None:
    job = await rig.make(headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    close(rig)
    assert job.state.value == "completed"
    assert collector.spans == []


async def test_a_call_over_grpc_begins_a_trace_or_goes_on_in_one(rig: Rig, collector: Collector) -> None:
    async with (
        grpc_serving(rig.app.state.gateway, "127.0.0.1", 0) as port,
        aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        request = CreateRequest(prompt="a ball rolls", num_inference_steps=4, num_frames=9)
        world = await WorldsStub(channel).Create(request, metadata=(("traceparent", TRACEPARENT),))
        await eventually(lambda: rig.ended(world.id))
    close(rig)
    call = collector.one("orrery.v1.Worlds/Create")
    assert (call.trace, call.parent, call.kind) == (TRACE, PARENT, SERVER)
    assert collector.one("submit").parent == call.id
    assert collector.one("task publish").trace == TRACE


async def test_every_job_of_a_batch_is_a_trace_of_its_own(rig: Rig, collector: Collector) -> None:
    lines = [line(name, num_inference_steps=4, num_frames=9) for name in ("a", "b")]
    batch = await ordered(rig, *lines)  # type: ignore[arg-type]

    async def completed() -> bool:
        answer = await rig.client.get(f"/v1/batches/{batch['id']}")
        return answer.json()["status"] == "completed"

    await eventually(completed)
    close(rig)
    submits = collector.named("submit")
    assert [span.parent for span in submits] == ["", ""]
    assert len({span.trace for span in submits}) == 2
    assert {span.trace for span in collector.named("task publish")} == {span.trace for span in submits}
    assert collector.one("POST /v1/batches").trace not in {span.trace for span in submits}


async def test_what_was_done_before_is_traced_as_a_memo_without_a_call(rig: Rig, collector: Collector) -> None:
    await rig.make(seed=3)
    await rig.make(seed=3)
    close(rig)
    first, second = collector.named("task denoise")
    assert first.trace != second.trace, "each job has a trace of its own"
    assert [span.attributes["orrery.task.memo"] for span in (first, second)] == [False, True]
    assert collector.children(second) == []


async def test_an_upload_shows_how_long_it_was_decoded(rig: Rig, collector: Collector) -> None:
    form = {"prompt": "it moves", "num_inference_steps": "4", "num_frames": "9"}
    answer = await rig.client.post("/v1/videos", data=form, files={"input_reference": ("a.png", png(96, 96))})
    assert answer.status_code == 202, answer.text
    close(rig)
    assert collector.one("decode").parent == collector.one("POST /v1/videos").id


async def test_refusals_have_a_span_and_polls_have_none(rig: Rig, collector: Collector) -> None:
    refused = await rig.client.post("/v1/videos", json={"prompt": "a ball", "num_frames": 4})
    assert refused.status_code == 422
    await rig.client.get("/health/ready")
    await rig.client.get("/v1/videos")
    close(rig)
    (span,) = collector.spans
    assert (span.name, span.attributes["http.response.status_code"], span.error) == ("POST /v1/videos", 422, False)


async def test_the_webhook_belongs_to_the_trace(rig: Rig, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        job = await rig.make(headers={"traceparent": TRACEPARENT}, webhook_url=receiver.url)
        (delivery,) = messages(job, None)
        own = telemetry("orrery-dispatcher", collector, monkeypatch)
        counted = Counter("orrery_webhook_attempts", "of a test", ["outcome"], registry=CollectorRegistry())
        receivers = Receivers(key=b"0" * 32, allow_private=True)
        webhooks = Webhooks(rig.jobs, rig.deliveries, receivers, counted, own.tracing)
        await _send_one(webhooks, rig, delivery)
        own.tracing.close()
    close(rig)
    span = collector.one("webhook")
    assert (span.trace, span.parent, span.service) == (TRACE, collector.one("submit").id, "orrery-dispatcher")
    assert span.attributes["orrery.webhook.outcome"] == "delivered"


async def _send_one(webhooks: Webhooks, rig: Rig, delivery: Delivery) -> None:
    cursor = await rig.deliveries.cursor()
    assert await rig.deliveries.accept([delivery], after=cursor, cursor=cursor)
    sending = asyncio.create_task(webhooks.send())

    async def sent() -> bool:
        return await rig.deliveries.pending() == 0

    await eventually(sent)
    await end(sending)


@pytest.mark.parametrize("log_prompts", [False, True])
async def test_prompts_are_in_spans_only_where_they_are_in_the_logs(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, *, log_prompts: bool
) -> None:
    both = [telemetry("orrery", collector, monkeypatch) for _ in range(2)]
    async with rig_of(*both, log_prompts=log_prompts) as rig:
        await rig.make(prompt="a secret garden", negative_prompt="weeds")
        close(rig)
    told = [value for span in collector.spans for value in span.attributes.values()]
    assert ("a secret garden" in told) is log_prompts
    assert not any("weeds" in str(value) for value in told)


async def test_lines_of_the_log_name_the_trace_the_job_and_the_task(
    rig: Rig, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[str] = []
    handler = logging.Handler()
    handler.setFormatter(JsonFormatter())
    handler.emit = lambda record: written.append(handler.format(record))  # type: ignore[method-assign]
    rig.stages["denoiser"].trouble = StageUnavailable("Triton is gone")
    logging.getLogger("orrery").addHandler(handler)
    try:
        with caplog.at_level(logging.INFO):
            job = await rig.make(headers={"traceparent": TRACEPARENT})
    finally:
        logging.getLogger("orrery").removeHandler(handler)
    lines = [json.loads(line) for line in written]
    failed = next(line for line in lines if "Triton is gone" in line["message"])
    assert (failed["job"], failed["task"], failed["trace_id"]) == (job.id, "image_denoise", TRACE)
    submitted = next(line for line in lines if line["message"].startswith("submitted"))
    assert (submitted["job"], submitted["trace_id"]) == (job.id, TRACE)
    assert "a ball rolls" not in "".join(written)


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_SERVICE_NAME": "mine"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}],
)
def test_nothing_is_traced_unless_an_endpoint_is_named(environment: dict[str, str]) -> None:
    assert Telemetry.from_environment("orrery-gateway", environment).tracing is UNTRACED


def test_a_protocol_that_is_not_spoken_is_refused_at_the_start() -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(ValidationError, match="http/protobuf"):
        Telemetry.from_environment("orrery-gateway", environment)


async def test_without_traces_jobs_carry_none(collector: Collector) -> None:
    async with rig_of(Telemetry(), Telemetry()) as rig:
        job = await rig.make(headers={"traceparent": TRACEPARENT})
    assert job.trace is None
    assert collector.spans == []


async def test_a_collector_that_is_gone_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as gone:
        pass
    both = [telemetry("orrery", gone, monkeypatch) for _ in range(2)]
    async with rig_of(*both) as rig:
        job = await rig.make()
        started = time.monotonic()
        close(rig)
    assert job.state.value == "completed"
    assert time.monotonic() - started < 5 * LAST_SECONDS
