"""Puts a stage process together: its environment, its model repository, and the settings of the stages in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from orrery.backend.repository import write_repository
from orrery.backend.settings import environment_of
from orrery.stages.stage import EngineHost, StageSettings
from orrery.telemetry.process import Telemetry
from orrery.worker.process import serve
from orrery.worker.settings import StageEnvironment
from orrery.worlds.components import installed
from orrery.worlds.contracts import TRANSFORMER
from orrery.worlds.environment import from_environment

log = logging.getLogger("orrery.stage")

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP threads spin while they wait, unless told not to: several stages on one machine then keep each other from working."""


def run_stage(environment: Mapping[str, str]) -> None:
    """Until SIGTERM or SIGINT."""
    settings = _with_engine(from_environment(StageEnvironment, environment))
    telemetry = Telemetry.from_environment("orrery-stage", environment)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    told = QUIET_THREADS | environment_of(_stage_settings(settings))
    asyncio.run(serve(settings, _repository(settings), told, telemetry))


def _with_engine(settings: StageEnvironment) -> StageEnvironment:
    """A denoiser that calls its transformer through BLS needs it on the same server."""
    if EngineHost(settings.transformer) is EngineHost.BLS and TRANSFORMER.name not in settings.stages:
        return settings.model_copy(update={"stages": (*settings.stages, TRANSFORMER.name)})
    return settings


def _repository(settings: StageEnvironment) -> Path:
    """The repository named, or one written from the contracts, which is what `make config` writes too."""
    if settings.model_repository is not None:
        return settings.model_repository
    folder = settings.run_dir / "model_repository"
    write_repository(folder)
    return folder


def _stage_settings(settings: StageEnvironment) -> StageSettings:
    found = installed(settings.models_dir)
    return StageSettings(
        models_dir=settings.models_dir,
        device=settings.device,
        transformer=EngineHost(settings.transformer),
        preload=settings.components if settings.components is not None else tuple(found),
        threads=settings.threads,
        default_model=settings.default_model,
    )
