"""`/metrics` of a process that has no HTTP server of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

log = logging.getLogger(__name__)


@contextmanager
def metrics_served(host: str, port: int, registry: CollectorRegistry) -> Iterator[int]:
    """Meanwhile a thread answers on `port`, which is given; 0 is any free one. Raises `OSError` if the port is taken."""
    server, thread = start_http_server(port, host, registry)
    log.info("metrics on http://%s:%s/metrics", host, server.server_port)
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
