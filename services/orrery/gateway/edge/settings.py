"""What an operator chooses about the edge of a gateway."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from orrery.worlds.environment import Names, ProcessSettings

KIBIBYTE = 2**10
GIBIBYTE = 2**30
UNGUARDED = (
    "the gateway would listen on {host} without API keys: set ORRERY_API_KEYS_FILE (see `orrery keys new`), listen on"
    " 127.0.0.1, or set ORRERY_API_KEYS=off if something in front of it asks who calls"
)


class EdgeSettings(ProcessSettings):
    """Times are in seconds.

    Without `api_keys_file` nobody is asked for a key, which only a gateway on a loopback address does by itself; elsewhere
    `api_keys` must be "off" for that. A caller, which is a key or without one an address, has `rate_burst` requests at once and
    `rate_per_second` more; 0 is no limit. The head of a request must be there within `head_seconds`, its body within
    `body_seconds` and with no pause beyond `body_idle_seconds`. An upload is decoded in a process that has
    `decode_memory_bytes` of address space, `decode_cpu_seconds` of processor time and `decode_seconds` in all; a clip may have
    `max_clip_seconds` and `max_clip_streams`. `url_hosts` names the only hosts that are fetched from; none named is all.
    `log_prompts` has prompts written to the log.
    """

    host: str = "127.0.0.1"
    api_keys_file: Path | None = None
    api_keys: Literal["off"] | None = None
    rate_per_second: float = Field(default=0.0, ge=0)
    rate_burst: int = Field(default=100, gt=0)
    max_headers: int = Field(default=100, gt=0)
    max_header_bytes: int = Field(default=32 * KIBIBYTE, gt=0)
    max_json_depth: int = Field(default=32, gt=0)
    head_seconds: float = Field(default=10.0, gt=0)
    body_idle_seconds: float = Field(default=20.0, gt=0)
    body_seconds: float = Field(default=600.0, gt=0)
    decode_memory_bytes: int = Field(default=2 * GIBIBYTE, ge=GIBIBYTE // 2)
    decode_cpu_seconds: int = Field(default=120, gt=0)
    decode_seconds: float = Field(default=120.0, gt=0)
    max_clip_seconds: float = Field(default=600.0, gt=0)
    max_clip_streams: int = Field(default=8, gt=0)
    url_inputs: Literal["on", "off"] = "off"
    url_hosts: Names = ()
    url_seconds: float = Field(default=30.0, gt=0)
    url_redirects: int = Field(default=3, ge=0)
    log_prompts: bool = False

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.api_keys_file is not None and self.api_keys == "off":
            raise ValueError("ORRERY_API_KEYS_FILE and ORRERY_API_KEYS=off contradict each other")
        if self.api_keys_file is None and self.api_keys is None and not is_loopback(self.host):
            raise ValueError(UNGUARDED.format(host=self.host or "every address"))
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`. A name is trusted only if it is `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
