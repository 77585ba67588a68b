"""What a dispatcher is told."""

from __future__ import annotations

from pydantic import Field

from orrery.worlds.environment import ProcessSettings


class DispatcherSettings(ProcessSettings):
    """Metrics are served on `host` and `port`; `refresh_seconds` lie between two looks at the pools."""

    redis_url: str
    host: str = "127.0.0.1"
    port: int = Field(default=9100, ge=0, le=65535)
    refresh_seconds: float = Field(default=3.0, gt=0, le=300)
