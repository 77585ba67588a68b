"""The seam to traces: one for each job, from the request through every task to the call of Triton.

Only `otlp.py` knows OpenTelemetry. Without it spans cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

Attributes = Mapping[str, str | bool | int | float]

TRACEPARENT = "traceparent"
"""W3C's header: trace, parent and flags. https://www.w3.org/TR/trace-context/"""

NONE: Attributes = MappingProxyType({})


class Kind(StrEnum):
    """OpenTelemetry's."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span(Protocol):
    @property
    def traceparent(self) -> str | None:
        """For whoever goes on elsewhere; None where nothing is traced."""
        ...

    def set(self, attributes: Attributes, name: str | None = None) -> None:
        """Adds attributes, and gives the span another name."""
        ...

    def event(self, name: str, attributes: Attributes = ...) -> None:
        """Something that happened now."""
        ...

    def failed(self, code: str) -> None:
        """What the span was about did not come off; `code` is that of a typed error."""
        ...


class Tracing(Protocol):
    def span(
        self, name: str, attributes: Attributes = ..., *, kind: Kind = ..., parent: str | None = ...
    ) -> AbstractContextManager[Span]:
        """The current one as long as the context. Its parent is the `traceparent` given, else the span that is current."""
        ...

    def close(self) -> None:
        """Sends what was not sent yet, for a few seconds at most."""
        ...


class NoSpan:
    """Where nothing is traced."""

    traceparent: str | None = None

    def set(self, attributes: Attributes, name: str | None = None) -> None: ...

    def event(self, name: str, attributes: Attributes = NONE) -> None: ...

    def failed(self, code: str) -> None: ...


_NOTHING = nullcontext(NoSpan())


class Untraced:
    """Traces nothing."""

    def span(self, *_: object, **__: object) -> AbstractContextManager[Span]:
        return _NOTHING

    def close(self) -> None: ...


UNTRACED = Untraced()
