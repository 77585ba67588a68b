"""A real receiver of OTLP over HTTP, which keeps the spans it is sent; what comes to other paths it takes and forgets."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Told:
    """A span as it came over the wire; ids in hex, `parent` empty for none."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    error: bool
    start: int
    end: int
    attributes: dict[str, Any]
    events: tuple[str, ...]


@dataclass
class Collector:
    url: str
    spans: list[Told] = field(default_factory=list)

    def named(self, name: str) -> list[Told]:
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start)

    def one(self, name: str) -> Told:
        (found,) = self.named(name)
        return found

    def children(self, span: Told) -> list[str]:
        return sorted(other.name for other in self.spans if other.parent == span.id)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            self.spans += [_told(service, span) for scope in resource.scope_spans for span in scope.spans]


def _told(service: str, span: Any) -> Told:
    attributes = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}
    events = tuple(event.name for event in span.events)
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    times = (span.start_time_unix_nano, span.end_time_unix_nano)
    return Told(service, span.name, *ids, span.kind, span.status.code == 2, *times, attributes, events)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listens on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
