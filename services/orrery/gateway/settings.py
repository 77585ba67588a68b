"""What a gateway is told."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Self

from pydantic import Field, model_validator

from orrery.gateway.edge.settings import EdgeSettings
from orrery.worlds.catalog import CATALOG, DEFAULT_MODEL
from orrery.worlds.catalog.models import ModelSpec
from orrery.worlds.environment import DEFAULT_PORT, Names

MEBIBYTE = 2**20


class PromptUpsampling(StrEnum):
    """Whether there is a stage that rewrites prompts, and when they go to it; `always` is unless a request declines."""

    NEVER = "never"
    ON_REQUEST = "on_request"
    ALWAYS = "always"


class GatewaySettings(EdgeSettings):
    """All that an operator can choose, beside what `EdgeSettings` has.

    Without a `grpc_port` there is no gRPC; 0 is any free port. Both ports are on `host`.
    `max_upload_bytes` is the size of a request's body, `max_json_bytes` that of one in JSON, which is read into memory.
    A file of `/v1/files` may have `max_file_bytes`. A batch may have `max_batch_lines`, of which `batch_open_lines` are at work
    or wait at a time; it is looked at every `batch_pause_seconds`.
    A clip may have `max_clip_frames`, and `max_clip_pixels` over all of them. `random_weights` names the served models whose
    checkpoints are untrained. A job is kept for `retention_seconds` after its end if its client does not say how long.
    `prompt_upsampling` says whether there is a stage `prompt_upsampler`, and whether prompts go to it `on_request` or `always`,
    which is unless the request declines. `loras` are the LoRAs that requests may name, with whichever model they fit.
    `webhooks` says that there is a dispatcher with a secret to sign them. `max_waiting_per_pool` and `max_waiting_per_tenant`
    count accepted tasks that were not started; beyond them requests are refused with 429.
    """

    redis_url: str
    artifacts_url: str
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    grpc_port: int | None = Field(default=None, ge=0, le=65535)
    models: Names = (DEFAULT_MODEL,)
    default_model: str = DEFAULT_MODEL
    loras: Names = ()
    random_weights: Names = ()
    max_upload_bytes: int = Field(default=100 * MEBIBYTE, gt=0)
    max_json_bytes: int = Field(default=32 * MEBIBYTE, gt=0)
    max_file_bytes: int = Field(default=512 * MEBIBYTE, gt=0)
    max_batch_lines: int = Field(default=50_000, gt=0)
    batch_open_lines: int = Field(default=256, gt=0)
    batch_pause_seconds: float = Field(default=1.0, gt=0)
    max_image_pixels: int = Field(default=64_000_000, gt=0)
    max_clip_frames: int = Field(default=3600, gt=0)
    max_clip_pixels: int = Field(default=4_000_000_000, gt=0)
    decode_threads: int = Field(default=2, gt=0)
    poll_after_ms: int = Field(default=500, gt=0)
    generation_timeout_seconds: float = Field(default=600.0, gt=0)
    retention_seconds: float = Field(default=7 * 24 * 3600.0, gt=0)
    prompt_upsampling: PromptUpsampling = PromptUpsampling.NEVER
    webhooks: bool = False
    max_waiting_per_pool: int = Field(default=100_000, gt=0)
    max_waiting_per_tenant: int = Field(default=50_000, gt=0)
    shutdown_seconds: int = Field(default=10, gt=0)

    @model_validator(mode="after")
    def _models_are_known(self) -> Self:
        unknown = sorted({*self.models, *self.random_weights} - set(CATALOG))
        if unknown:
            raise ValueError(f"there are no models {unknown}; the catalog has {sorted(CATALOG)}")
        if self.default_model not in self.models:
            raise ValueError(f"the default model {self.default_model} is not among the served {list(self.models)}")
        return self

    def served(self, name: str) -> ModelSpec:
        """A model of the catalog as it is served here."""
        return _served(name, self.prompt_upsampling, self.loras)


@lru_cache
def _served(name: str, upsampling: PromptUpsampling, loras: tuple[str, ...]) -> ModelSpec:
    model = CATALOG[name].model_copy(update={"loras": loras})
    if upsampling is PromptUpsampling.NEVER:
        return model.model_copy(update={"upsampling": {}})
    return model.model_copy(update={"upsampled_unasked": upsampling is PromptUpsampling.ALWAYS})
