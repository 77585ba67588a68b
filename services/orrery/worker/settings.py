"""The environment of `orrery stage`, read once and strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from orrery.worlds.contracts import CONTRACTS, DENOISER_UNARY, POOLED, TEXT2WORLD_REQUEST

PREFIX = "ORRERY_"


def _split(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, value.split(","))) if isinstance(value, str) else value


def _known_stages(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in CONTRACTS]
    if unknown:
        raise ValueError(f"no such stages: {unknown}; there are {list(CONTRACTS)}")
    return names


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Port = Annotated[int, Field(ge=1, le=65535)]


class StageEnvironment(BaseModel):
    """Every field is the variable of its name in capitals after `ORRERY_`. Times in seconds, sizes in bytes.

    `stages` are Triton models to host; `components` those to serve of what `models_dir` holds (all if not given);
    `triton_binary` and `triton_backends` name an installed Triton in place of the embedded one.
    """

    model_config = ConfigDict(frozen=True)

    redis_url: str
    artifacts_url: str
    models_dir: Path
    run_dir: Path
    stages: Annotated[Names, AfterValidator(_known_stages)] = (*POOLED, TEXT2WORLD_REQUEST.name, DENOISER_UNARY.name)
    components: Names | None = None
    model_repository: Path | None = None
    triton_binary: Path | None = None
    triton_backends: Path | None = None
    triton_grpc_port: Port = 8001
    triton_metrics_port: Port = 8002
    shm_bytes: PositiveInt = 1 << 30
    lease_seconds: PositiveFloat = 15.0
    drain_seconds: NonNegativeFloat = 30.0
    device: str = "cpu"
    transformer: str = "in_process"
    threads: PositiveInt | None = None


def stage_environment(environment: Mapping[str, str]) -> StageEnvironment:
    """Raises pydantic's `ValidationError` naming every variable that is missing or wrong."""
    given = {name: environment.get(PREFIX + name.upper()) for name in StageEnvironment.model_fields}
    return StageEnvironment.model_validate({name: value for name, value in given.items() if value})
