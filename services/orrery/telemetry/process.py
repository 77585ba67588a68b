"""What a process is given at its edge to be seen by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from orrery.telemetry.instruments import Instruments
from orrery.telemetry.settings import TraceSettings
from orrery.telemetry.tracing import UNTRACED, Tracing
from orrery.worlds.environment import from_environment


@dataclass(frozen=True)
class Telemetry:
    """By default it counts and does not trace."""

    instruments: Instruments = field(default_factory=Instruments)
    tracing: Tracing = UNTRACED

    @classmethod
    def from_environment(cls, service: str, environment: Mapping[str, str]) -> Self:
        """Of the process called `service`. Raises pydantic's `ValidationError`."""
        if not from_environment(TraceSettings, environment).on:
            return cls()
        from orrery.telemetry.otlp import OtlpTracing  # whoever does not trace need not load it

        return cls(tracing=OtlpTracing(service))
