"""The environment of `orrery stage`, read once and strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)

from orrery.worlds.catalog import DEFAULT_MODEL
from orrery.worlds.components import PACKAGED
from orrery.worlds.contracts import CONTRACTS, DENOISER_UNARY, POOLED, PROMPT_UPSAMPLER, TEXT2WORLD_REQUEST
from orrery.worlds.environment import Names, ProcessSettings
from orrery.worlds.upsampling import TEMPLATES, Fail


def _known_stages(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in CONTRACTS]
    if unknown:
        raise ValueError(f"no such stages: {unknown}; there are {list(CONTRACTS)}")
    return names


def _known_templates(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in TEMPLATES]
    if unknown or not names:
        raise ValueError(f"no such templates: {unknown}; there are {list(TEMPLATES)}")
    return names


SHORTCUTS = ("text_kv", "frame_adaln", "batched_guidance")


def _known_shortcuts(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in SHORTCUTS]
    if unknown:
        raise ValueError(f"no such shortcuts: {unknown}; there are {list(SHORTCUTS)}")
    return names


Port = Annotated[int, Field(ge=1, le=65535)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/\S*)?$")]
"""Without credentials: those are given apart."""

UNASKED = tuple(name for name in POOLED if name != PROMPT_UPSAMPLER.name)
"""The pooled stages that need nobody outside."""


class StageEnvironment(ProcessSettings):
    """What a stage process is told. Times in seconds, sizes in bytes.

    `stages` are Triton models to host; `components` those to serve of what `models_dir` holds (all if not given), which is the
    packaged miniature if nothing else is told; `default_model` is what a request to the ensemble means that names none;
    `triton_binary` and `triton_backends` name an installed Triton in place of the embedded one. Triton speaks HTTP only where
    there is a `triton_http_port`. The worker's metrics are on `metrics_host` and `metrics_port` (0 is any free one), Triton's
    own on the same host and `triton_metrics_port`. `threads` are torch's on a CPU, the same on every machine unless told
    otherwise: sums are split by thread, so the bytes of a video depend on their number.
    The prompt upsampler is hosted where there is an `upsampler_url` of OpenAI's API, up to its version, and an
    `upsampler_model` of it, which answers `upsampler_templates`; it is waited for `upsampler_seconds`. With `upsampler_fail`
    open, a request whose prompt could not be upsampled goes on with its own prompt; closed, it fails.
    `memory` is where weights are: `resident` on the device; with `cpu_offload` in the processor's memory between jobs; with
    `layerwise` there always, but for the layers that compute. `device_bytes` bounds what weights take of the device at a time,
    for each stage by itself: what was not used for longest is given up for what is wanted, and loaded again later.
    `shortcuts` is what a transformer's engine may leave out: `text_kv` changes no byte, `frame_adaln` and `batched_guidance`
    are to be the same for all stages of a pool, as `threads` are.
    The denoiser hands out a checkpoint every `checkpoint_seconds` or `checkpoint_steps`, whichever comes first; 0 is never. It
    shows what it has after `preview_seconds`; 0 is never.
    """

    redis_url: str
    artifacts_url: str
    models_dir: Path = PACKAGED
    run_dir: Path
    stages: Annotated[Names, AfterValidator(_known_stages)] = (*UNASKED, TEXT2WORLD_REQUEST.name, DENOISER_UNARY.name)
    components: Names | None = None
    default_model: str = DEFAULT_MODEL
    model_repository: Path | None = None
    triton_binary: Path | None = None
    triton_backends: Path | None = None
    triton_grpc_port: Port = 8001
    triton_metrics_port: Port = 8002
    triton_http_port: Port | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9090, ge=0, le=65535)
    shm_bytes: PositiveInt = 1 << 30
    lease_seconds: PositiveFloat = 15.0
    drain_seconds: NonNegativeFloat = 30.0
    checkpoint_seconds: NonNegativeFloat = 30.0
    checkpoint_steps: NonNegativeInt = 0
    preview_seconds: NonNegativeFloat = 2.0
    device: str = "cpu"
    transformer: Literal["in_process", "bls"] = "in_process"
    memory: Literal["resident", "cpu_offload", "layerwise"] = "resident"
    device_bytes: PositiveInt | None = None
    shortcuts: Annotated[Names, AfterValidator(_known_shortcuts)] = ("text_kv",)
    threads: PositiveInt = 2
    upsampler_url: HttpUrl | None = None
    upsampler_model: str | None = None
    upsampler_templates: Annotated[Names, AfterValidator(_known_templates)] = TEMPLATES
    upsampler_api_key: SecretStr | None = None
    upsampler_seconds: PositiveFloat = 30.0
    upsampler_fail: Fail = Fail.OPEN

    @model_validator(mode="after")
    def _triton_is_whole(self) -> Self:
        if (self.triton_binary is None) != (self.triton_backends is None):
            raise ValueError("triton_binary and triton_backends go together")
        return self

    @model_validator(mode="after")
    def _weights_stay_for_a_job(self) -> Self:
        if (self.transformer, self.memory) == ("bls", "cpu_offload"):
            raise ValueError("memory cpu_offload with transformer bls would move all weights for every step; use in_process")
        return self

    @model_validator(mode="after")
    def _upsampler_is_whole(self) -> Self:
        if (self.upsampler_url is None) != (self.upsampler_model is None):
            raise ValueError("upsampler_url and upsampler_model go together")
        if PROMPT_UPSAMPLER.name in self.stages and self.upsampler_url is None:
            raise ValueError(f"the stage {PROMPT_UPSAMPLER.name} needs an upsampler_url")
        return self
