"""The environment of a Triton server that hosts stages, read once and strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orrery.stages.stage import EXACT, Endpoint, EngineHost, MemoryMode, Shortcut, StageSettings
from orrery.worlds.catalog import DEFAULT_MODEL
from orrery.worlds.upsampling import Fail

VARIABLES = (
    "ORRERY_MODELS_DIR",
    "ORRERY_DEVICE",
    "ORRERY_TRANSFORMER",
    "ORRERY_MEMORY",
    "ORRERY_DEVICE_BYTES",
    "ORRERY_SHORTCUTS",
    "ORRERY_PRELOAD",
    "ORRERY_THREADS",
    "ORRERY_DEFAULT_MODEL",
    "ORRERY_UPSAMPLER_URL",
    "ORRERY_UPSAMPLER_MODEL",
    "ORRERY_UPSAMPLER_SECONDS",
    "ORRERY_UPSAMPLER_FAIL",
    "ORRERY_UPSAMPLER_API_KEY",
)


def settings_from(environment: Mapping[str, str]) -> StageSettings:
    """Raises `KeyError` without a models folder and `ValueError` for a value that is not one."""
    threads, device_bytes = environment.get("ORRERY_THREADS"), environment.get("ORRERY_DEVICE_BYTES")
    return StageSettings(
        models_dir=Path(environment["ORRERY_MODELS_DIR"]),
        device=environment.get("ORRERY_DEVICE", "cpu"),
        transformer=EngineHost(environment.get("ORRERY_TRANSFORMER", EngineHost.IN_PROCESS)),
        memory=MemoryMode(environment.get("ORRERY_MEMORY", MemoryMode.RESIDENT)),
        device_bytes=int(device_bytes) if device_bytes else None,
        shortcuts=tuple(Shortcut(name) for name in environment.get("ORRERY_SHORTCUTS", ",".join(EXACT)).split(",") if name),
        preload=tuple(filter(None, environment.get("ORRERY_PRELOAD", "").split(","))),
        threads=int(threads) if threads else None,
        default_model=environment.get("ORRERY_DEFAULT_MODEL", DEFAULT_MODEL),
        upsampler=_endpoint(environment),
    )


def _endpoint(environment: Mapping[str, str]) -> Endpoint | None:
    url = environment.get("ORRERY_UPSAMPLER_URL")
    if not url:
        return None
    return Endpoint(
        url=url,
        model=environment["ORRERY_UPSAMPLER_MODEL"],
        seconds=float(environment["ORRERY_UPSAMPLER_SECONDS"]),
        fail=Fail(environment["ORRERY_UPSAMPLER_FAIL"]),
        api_key=environment.get("ORRERY_UPSAMPLER_API_KEY") or None,
    )


def environment_of(settings: StageSettings) -> dict[str, str]:
    """The inverse of `settings_from`."""
    values = (
        str(settings.models_dir),
        settings.device,
        settings.transformer.value,
        settings.memory.value,
        str(settings.device_bytes or ""),
        ",".join(settings.shortcuts),
        ",".join(settings.preload),
        str(settings.threads or ""),
        settings.default_model,
        *_asked(settings.upsampler),
    )
    return dict(zip(VARIABLES, values, strict=True))


def _asked(endpoint: Endpoint | None) -> tuple[str, ...]:
    if endpoint is None:
        return ("",) * 5
    return endpoint.url, endpoint.model, str(endpoint.seconds), endpoint.fail.value, endpoint.api_key or ""
