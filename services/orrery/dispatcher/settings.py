"""What a dispatcher is told."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from orrery.dispatcher.environment import ProcessSettings


class DispatcherSettings(ProcessSettings):
    """`ORRERY_REDIS_URL`, and `ORRERY_DISPATCHER_*` for the rest. Seconds between two looks at the pools: `refresh_seconds`."""

    prefix: ClassVar[str] = "ORRERY_DISPATCHER_"
    shared: ClassVar[frozenset[str]] = frozenset({"redis_url"})

    redis_url: str
    host: str = "127.0.0.1"
    port: int = Field(default=9100, ge=0, le=65535)
    refresh_seconds: float = Field(default=3.0, gt=0, le=300)
