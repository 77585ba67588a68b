"""Puts a stage process together: its environment, its model repository, and the settings of the stages in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from orrery.backend.repository import write_repository
from orrery.backend.settings import environment_of
from orrery.stages.stage import Endpoint, EngineHost, MemoryMode, Shortcut, StageSettings
from orrery.telemetry.process import Telemetry
from orrery.worker.process import serve
from orrery.worker.settings import StageEnvironment
from orrery.worlds.components import SERVED_BY, installed
from orrery.worlds.contracts import PROMPT_UPSAMPLER, TRANSFORMER
from orrery.worlds.environment import from_environment
from orrery.worlds.errors import DeviceFull
from orrery.worlds.stored import weights_of

log = logging.getLogger("orrery.stage")

QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""OpenMP threads spin while they wait, unless told not to: several stages on one machine then keep each other from working."""


def run_stage(environment: Mapping[str, str]) -> None:
    """Until SIGTERM or SIGINT."""
    settings = hosted(from_environment(StageEnvironment, environment))
    telemetry = Telemetry.from_environment("orrery-stage", environment)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    hold_to_device(settings)
    told = QUIET_THREADS | environment_of(stage_settings(settings))
    asyncio.run(serve(settings, _repository(settings), told, telemetry))


def hosted(settings: StageEnvironment) -> StageEnvironment:
    """With the stages that follow from other settings."""
    return _with_engine(_with_upsampler(settings))


def _with_engine(settings: StageEnvironment) -> StageEnvironment:
    """A denoiser that calls its transformer through BLS needs it on the same server."""
    if EngineHost(settings.transformer) is EngineHost.BLS and TRANSFORMER.name not in settings.stages:
        return settings.model_copy(update={"stages": (*settings.stages, TRANSFORMER.name)})
    return settings


def _with_upsampler(settings: StageEnvironment) -> StageEnvironment:
    """An endpoint that is named is asked, unless it was said which stages to host."""
    if settings.upsampler_url is None or "stages" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"stages": (*settings.stages, PROMPT_UPSAMPLER.name)})


def hold_to_device(settings: StageEnvironment) -> None:
    """Raises `DeviceFull` for a component that is to be served and whose weights would never fit, before anything starts."""
    if settings.device_bytes is None or settings.memory == MemoryMode.LAYERWISE.value:
        return
    for name, manifest in installed(settings.models_dir).items():
        served = settings.components is None or name in settings.components
        if served and set(SERVED_BY[manifest.kind]) & set(settings.stages):
            needed = sum(tensor.size for tensor in weights_of(settings.models_dir / name))
            if needed > settings.device_bytes:
                message = f"{name} needs {needed} bytes of the device and may have {settings.device_bytes}"
                raise DeviceFull(message, evidence=[{"needed": needed, "budget": settings.device_bytes, "resident": {}}])


def _repository(settings: StageEnvironment) -> Path:
    """The repository named, or one written from the contracts, which is what `make config` writes too."""
    if settings.model_repository is not None:
        return settings.model_repository
    folder = settings.run_dir / "model_repository"
    write_repository(folder)
    return folder


def stage_settings(settings: StageEnvironment) -> StageSettings:
    """What the stages inside of Triton are told."""
    found = installed(settings.models_dir)
    return StageSettings(
        models_dir=settings.models_dir,
        device=settings.device,
        transformer=EngineHost(settings.transformer),
        memory=MemoryMode(settings.memory),
        device_bytes=settings.device_bytes,
        shortcuts=tuple(Shortcut(name) for name in settings.shortcuts),
        preload=settings.components if settings.components is not None else tuple(found),
        threads=settings.threads,
        default_model=settings.default_model,
        upsampler=_endpoint(settings),
    )


def _endpoint(settings: StageEnvironment) -> Endpoint | None:
    if settings.upsampler_url is None or settings.upsampler_model is None:
        return None
    key = settings.upsampler_api_key
    return Endpoint(
        url=settings.upsampler_url,
        model=settings.upsampler_model,
        seconds=settings.upsampler_seconds,
        fail=settings.upsampler_fail,
        api_key=None if key is None else key.get_secret_value(),
    )
