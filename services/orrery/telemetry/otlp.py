"""Spans by OpenTelemetry, sent over OTLP. What its own `OTEL_` variables say (headers, sampler, batches) holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orrery.telemetry.logs import about
from orrery.telemetry.tracing import NONE, TRACEPARENT, Attributes, Kind, Span

_W3C = TraceContextTextMapPropagator()
SCOPE = "orrery"
LAST_SECONDS = 2.0
"""So long a process that ends tries to send its last spans."""


class OtlpSpan:
    """A `Span` over OpenTelemetry's."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, trace.set_span_in_context(self._span, context.Context()))
        return carrier.get(TRACEPARENT)

    def set(self, attributes: Attributes, name: str | None = None) -> None:
        self._span.set_attributes(dict(attributes))
        if name is not None:
            self._span.update_name(name)

    def event(self, name: str, attributes: Attributes = NONE) -> None:
        self._span.add_event(name, dict(attributes))

    def failed(self, code: str) -> None:
        self._span.set_attribute("error.type", code)
        self._span.set_status(trace.StatusCode.ERROR, code)


class OtlpTracing:
    """`Tracing` of the process called `service`. Spans are sent in the background, and dropped where nobody takes them."""

    def __init__(self, service: str, exporter: SpanExporter | None = None) -> None:
        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}), shutdown_on_exit=False)
        self._exporter = exporter or OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(SCOPE)

    @contextmanager
    def span(
        self, name: str, attributes: Attributes = NONE, *, kind: Kind = Kind.INTERNAL, parent: str | None = None
    ) -> Iterator[Span]:
        """As the protocol says. An error that passes through is noted by its type: its words may be a client's."""
        above = None if parent is None else _W3C.extract({TRACEPARENT: parent}, context.Context())
        with (
            self._tracer.start_as_current_span(
                name,
                above,
                kind=trace.SpanKind[kind],
                attributes=dict(attributes),
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            about(trace_id=trace.format_trace_id(span.get_span_context().trace_id)),
        ):
            own = OtlpSpan(span)
            try:
                yield own
            except Exception as error:
                own.failed(str(getattr(error, "code", type(error).__name__)))
                raise

    def close(self) -> None:
        giving_up = threading.Timer(LAST_SECONDS, self._exporter.shutdown)  # it would go on trying for longer
        giving_up.start()
        self._provider.shutdown()
        giving_up.cancel()
        giving_up.join()
