"""Who looks on while tasks are worked on. The work itself knows neither metrics nor traces."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from orrery.jobs.records import Claim
from orrery.telemetry.instruments import SLOW, Instruments
from orrery.telemetry.logs import about
from orrery.telemetry.process import Telemetry
from orrery.telemetry.tracing import Attributes, Kind, Span
from orrery.worlds.contracts import CONTRACTS

STEP_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120)
POOL = ("stage", "component")


class Outcome(StrEnum):
    """What came of a task in this worker's hands."""

    DONE = "done"
    YIELDED = "yielded"  # it made room, or the worker stops
    RETRIED = "retried"  # it failed for a reason that may pass
    FAILED = "failed"
    DROPPED = "dropped"  # its job was cancelled, its lease ran out, or the worker had to stop at once


class WorkMetrics:
    """What a worker counts, by stage and component."""

    def __init__(self, instruments: Instruments) -> None:
        counter, histogram, gauge = instruments.counter, instruments.histogram, instruments.gauge
        self.tasks = counter("tasks", "Tasks that this worker was given, by what came of them", *POOL, "outcome")
        self.wait = histogram("task_wait_seconds", "From when a task was queued until it was claimed", *POOL, buckets=SLOW)
        self.task = histogram("task_seconds", "From a task's claim to its end, with inputs and outputs", *POOL, buckets=SLOW)
        self.stage = histogram("stage_seconds", "Inside the stage, of tasks that were not remembered", *POOL, buckets=SLOW)
        self.step = histogram("step_seconds", "One step of a stage that counts steps", *POOL, buckets=STEP_BUCKETS)
        self.checkpoint = histogram("checkpoint_seconds", "Keeping one step checkpoint in both stores", *POOL)
        self.checkpoint_bytes = counter("checkpoint_bytes", "Bytes of step checkpoints that were kept", *POOL)
        self.memo = counter("memo_lookups", "Looks for outputs of the same work, done before: hit or miss", *POOL, "result")
        self.passing = counter(
            "passing", "Outputs that are not remembered: prompts that the upsampler could not rewrite", *POOL
        )
        self.ready = gauge("stage_ready", "Whether the stage would take a request now", "stage")
        self.restarts = counter("triton_restarts", "How often this worker had to start its Triton again")


class Watch:
    """One task while somebody works on it."""

    def __init__(self, claim: Claim, metrics: WorkMetrics, span: Span, telemetry: Telemetry) -> None:
        self.outcome = Outcome.DROPPED
        self._labels = claim.task.stage, claim.task.component or ""
        self._metrics = metrics
        self._span = span
        self._tracing = telemetry.tracing
        self._stepped: tuple[int, float] | None = None

    def failed(self, code: str, outcome: Outcome) -> None:
        """With the code of a typed error."""
        self.outcome = outcome
        self._span.failed(code)

    def remembered(self, *, hit: bool) -> None:
        """Whether the outputs were there."""
        self._metrics.memo.labels(*self._labels, "hit" if hit else "miss").inc()
        self._span.set({"orrery.task.memo": hit})

    @contextmanager
    def calling(self) -> Iterator[None]:
        """As long as the request to Triton."""
        stage, component = self._labels
        attributes = {"rpc.system": "grpc", "rpc.service": "inference.GRPCInferenceService", "orrery.stage": stage}
        self._stepped = None  # the first step of a call has its start in it
        with self._tracing.span(f"triton {stage}", attributes | {"orrery.component": component}, kind=Kind.CLIENT):
            yield

    def ran(self, seconds: float, *, passing: bool = False) -> None:
        """So long inside the stage; `passing` if what it made is for this time."""
        self._metrics.stage.labels(*self._labels).observe(seconds)
        if passing:
            self._metrics.passing.labels(*self._labels).inc()
        self._span.set({"orrery.stage.seconds": seconds})

    def stepped(self, step: int) -> None:
        """A step was reported; steps that were not are taken to have been as long as each other."""
        now = time.perf_counter()
        if self._stepped is not None and step > self._stepped[0]:
            steps = step - self._stepped[0]
            for _ in range(steps):
                self._metrics.step.labels(*self._labels).observe((now - self._stepped[1]) / steps)
        self._stepped = step, now

    def kept(self, step: int, seconds: float, size: int) -> None:
        """A checkpoint of so many bytes is where the next attempt would find it."""
        self._metrics.checkpoint.labels(*self._labels).observe(seconds)
        self._metrics.checkpoint_bytes.labels(*self._labels).inc(size)
        self._span.event("checkpoint", {"orrery.step": step, "orrery.checkpoint.bytes": size})

    def ended(self, seconds: float) -> None:
        """After so long in this worker's hands."""
        self._metrics.tasks.labels(*self._labels, self.outcome).inc()
        self._metrics.task.labels(*self._labels).observe(seconds)
        self._span.set({"orrery.task.outcome": self.outcome.value})


class Observer:
    """Counts and traces what a worker does."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.metrics = WorkMetrics(telemetry.instruments)

    def expect(self, pools: Iterable[str]) -> None:
        """These begin at zero, so that the first increase is one."""
        for stage, _, component in (pool.partition("/") for pool in pools):
            for histogram in (self.metrics.wait, self.metrics.task, self.metrics.stage):
                histogram.labels(stage, component)
            for outcome in Outcome:
                self.metrics.tasks.labels(stage, component, outcome)
            for result in ("hit", "miss"):
                self.metrics.memo.labels(stage, component, result)
            if CONTRACTS[stage].may_pass:
                self.metrics.passing.labels(stage, component)

    @contextmanager
    def task(self, claim: Claim) -> Iterator[Watch]:
        """As long as the worker holds the task; every line that is logged meanwhile says whose it is."""
        if claim.waited is not None:
            self.metrics.wait.labels(claim.task.stage, claim.task.component or "").observe(claim.waited)
        name, attributes = f"task {claim.task.id}", _attributes(claim)
        with (
            about(job=claim.job_id, task=claim.task.id),
            self._telemetry.tracing.span(name, attributes, kind=Kind.CONSUMER, parent=claim.trace) as span,
        ):
            watch, started = Watch(claim, self.metrics, span, self._telemetry), time.perf_counter()
            try:
                yield watch
            finally:
                watch.ended(time.perf_counter() - started)


def _attributes(claim: Claim) -> Attributes:
    waited = {} if claim.waited is None else {"orrery.task.waited_seconds": claim.waited}
    return {
        "orrery.job.id": claim.job_id,
        "orrery.task.id": claim.task.id,
        "orrery.stage": claim.task.stage,
        "orrery.component": claim.task.component or "",
        "orrery.task.attempt": claim.attempt,
        "orrery.task.from_step": claim.checkpoint_step,
        "orrery.worker": claim.worker,
        **waited,
    }
