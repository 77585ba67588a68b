"""What goes to the artifact store and comes from it."""

from __future__ import annotations

from orrery.artifacts.errors import StorageFull, StorageUnavailable
from orrery.telemetry.instruments import Instruments
from orrery.worlds.errors import ArtifactCorrupt

CODES = tuple(error.code for error in (StorageUnavailable, StorageFull, ArtifactCorrupt))


class ArtifactTraffic:
    """The `Meter` of an artifact store."""

    def __init__(self, instruments: Instruments) -> None:
        self._read = instruments.counter("artifact_read_bytes", "Bytes that this process read from the artifact store")
        self._written = instruments.counter("artifact_written_bytes", "Bytes that this process wrote to the artifact store")
        self._failed = instruments.counter(
            "artifact_errors", "Calls that the artifact store refused, and artifacts that were damaged", "code", known=CODES
        )

    def read(self, size: int) -> None:
        self._read.inc(size)

    def written(self, size: int) -> None:
        self._written.inc(size)

    def failed(self, code: str) -> None:
        self._failed.labels(code).inc()
