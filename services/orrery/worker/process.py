"""`orrery stage`: Triton and its worker in one process group."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

from orrery.artifacts import open_store
from orrery.jobs.redis import RedisJobs
from orrery.telemetry.exporting import metrics_served
from orrery.telemetry.process import Telemetry
from orrery.telemetry.traffic import ArtifactTraffic
from orrery.worker.observing import Observer
from orrery.worker.runner import CheckpointPolicy, Runner
from orrery.worker.settings import StageEnvironment
from orrery.worker.shared_memory import sweep
from orrery.worker.triton_client import TritonStages
from orrery.worker.triton_files import TritonFiles, embedded_triton
from orrery.worker.triton_server import TritonOptions, TritonServer
from orrery.worker.worker import Worker, WorkerSettings
from orrery.worlds.components import SERVED_BY, ComponentManifest, installed
from orrery.worlds.contracts import CONTRACTS, ENSEMBLES, POOLED, PROMPT_UPSAMPLER
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.upsampling import ServedTemplate, served

log = logging.getLogger("orrery.stage")


async def serve(settings: StageEnvironment, repository: Path, environment: Mapping[str, str], telemetry: Telemetry) -> None:
    """Until SIGTERM or SIGINT; then claims nothing more, finishes or hands back, stops Triton and cleans up.

    `repository` is Triton's model repository; `environment` reaches the stages in it.
    """
    for name in sweep():
        log.info("removed shared memory %s of a process that is gone", name)
    observer = Observer(telemetry)
    components = _components(settings)
    server = TritonServer(_triton_options(settings, repository, environment), observer.metrics.restarts.inc)
    jobs = RedisJobs.connect(settings.redis_url, lease=settings.lease_seconds)
    stages = TritonStages(f"127.0.0.1:{settings.triton_grpc_port}", shm_bytes=settings.shm_bytes, on_broken=server.renew)
    runner = Runner(
        queue=jobs,
        artifacts=open_store(settings.artifacts_url, ArtifactTraffic(telemetry.instruments)),
        stages=stages,
        components={**installed(settings.models_dir), **_templates(settings)},
        checkpoints=CheckpointPolicy(seconds=settings.checkpoint_seconds, steps=settings.checkpoint_steps),
        preview_seconds=settings.preview_seconds,
    )
    worker = Worker(_worker_settings(settings, components), jobs, runner, observer)
    _on_signals(worker)
    try:
        with metrics_served(settings.metrics_host, settings.metrics_port, telemetry.instruments.registry):
            await server.start()
            await worker.run()
    finally:
        await stages.aclose()
        await server.stop()
        await jobs.aclose()
        telemetry.tracing.close()


def pools_of(stages: tuple[str, ...], components: Mapping[str, ComponentManifest]) -> dict[str, tuple[str, ...]]:
    """The pools that these stages serve with these components, by stage; stages that could serve none are left out."""
    plain = {stage: (stage,) for stage in stages if stage in POOLED and not CONTRACTS[stage].has_component}
    served = {
        stage: tuple(f"{stage}/{c.name}" for c in components.values() if stage in SERVED_BY[c.kind])
        for stage in stages
        if stage in POOLED and CONTRACTS[stage].has_component
    }
    return plain | {stage: pools for stage, pools in served.items() if pools}


def _components(settings: StageEnvironment) -> dict[str, ComponentManifest]:
    found = installed(settings.models_dir)
    wanted = settings.components if settings.components is not None else tuple(found)
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise ComponentUnusable(f"{settings.models_dir} has no components {missing}; it has {sorted(found)}")
    return {name: found[name] for name in wanted}


def _templates(settings: StageEnvironment) -> dict[str, ServedTemplate]:
    """Those that the upsampler's endpoint is asked with, if it is hosted here."""
    url, model = settings.upsampler_url, settings.upsampler_model
    if PROMPT_UPSAMPLER.name not in settings.stages or url is None or model is None:
        return {}
    return {name: served(name, url=url, model=model, fail=settings.upsampler_fail) for name in settings.upsampler_templates}


def pools_served(settings: StageEnvironment, components: Mapping[str, ComponentManifest]) -> dict[str, tuple[str, ...]]:
    """Those of `pools_of`, and the upsampler's if there is somebody whom it asks."""
    asked = tuple(f"{PROMPT_UPSAMPLER.name}/{template}" for template in _templates(settings))
    return pools_of(settings.stages, components) | ({PROMPT_UPSAMPLER.name: asked} if asked else {})


def _worker_settings(settings: StageEnvironment, components: Mapping[str, ComponentManifest]) -> WorkerSettings:
    # A name that no other process ever had: a restarted container may have the host name and pid of the one before.
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    pools = pools_served(settings, components)
    return WorkerSettings(name=name, pools=pools, lease=settings.lease_seconds, drain=settings.drain_seconds)


def _triton_options(settings: StageEnvironment, repository: Path, environment: Mapping[str, str]) -> TritonOptions:
    return TritonOptions(
        files=_triton_files(settings),
        repository=repository,
        models=(*settings.stages, *_ensembles(settings.stages)),
        grpc_port=settings.triton_grpc_port,
        metrics_port=settings.triton_metrics_port,
        http_port=settings.triton_http_port,
        metrics_host=settings.metrics_host,
        log_file=settings.run_dir / "triton.log",
        environment=environment,
    )


def _ensembles(stages: tuple[str, ...]) -> list[str]:
    return [name for name, members in ENSEMBLES.items() if set(members) <= set(stages)]


def _triton_files(settings: StageEnvironment) -> TritonFiles:
    if settings.triton_binary is None or settings.triton_backends is None:
        return embedded_triton(settings.run_dir)
    return TritonFiles(binary=settings.triton_binary, backends=settings.triton_backends, environment={})


def _on_signals(worker: Worker) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.drain)
