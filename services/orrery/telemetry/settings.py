"""OpenTelemetry's own variables, as far as they say whether there are traces. The rest of them its SDK reads."""

from __future__ import annotations

from typing import ClassVar, Literal

from orrery.worlds.environment import ProcessSettings


class TraceSettings(ProcessSettings):
    """Where spans go, for all signals or for traces alone; without either nothing is traced."""

    prefix: ClassVar[str] = "OTEL_"

    exporter_otlp_endpoint: str = ""
    exporter_otlp_traces_endpoint: str = ""
    exporter_otlp_protocol: Literal["", "http/protobuf"] = ""
    sdk_disabled: Literal["", "true", "false"] = ""

    @property
    def on(self) -> bool:
        return bool(self.exporter_otlp_endpoint or self.exporter_otlp_traces_endpoint) and self.sdk_disabled != "true"
