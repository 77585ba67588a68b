"""The Triton process of a stage: started, watched, started again with back-off, and cleaned up after."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orrery.worker.lifeline import die_with_parent
from orrery.worker.triton_files import TritonFiles
from orrery.worlds.control import PREFIX
from orrery.worlds.control import SHARED_MEMORY as FOLDER

log = logging.getLogger("orrery.triton")

_FIRST_BACKOFF = 0.5
_MAX_BACKOFF = 30.0
_STABLE_SECONDS = 60.0


@dataclass(frozen=True)
class TritonOptions:
    """How to run Triton. `models` are loaded, nothing else of the repository.

    Ports are on `host`, that of the metrics on `metrics_host`. Without an `http_port` it speaks only gRPC, which is all that a
    worker needs.
    """

    files: TritonFiles
    repository: Path
    models: tuple[str, ...]
    grpc_port: int
    metrics_port: int
    log_file: Path
    http_port: int | None = None
    host: str = "127.0.0.1"
    metrics_host: str = "127.0.0.1"
    environment: Mapping[str, str] = field(default_factory=dict)
    exit_timeout: int = 8

    @property
    def shm_prefix(self) -> str:
        """Names the regions of this server's Python stubs, so that those of a killed one can be told and removed."""
        return f"{PREFIX}{os.getpid()}-triton-{self.grpc_port}-"

    def command(self) -> list[str]:
        return [
            str(self.files.binary),
            f"--model-repository={self.repository}",
            f"--backend-directory={self.files.backends}",
            f"--backend-config=python,shm-region-prefix-name={self.shm_prefix}",
            f"--backend-config=python,shm-default-byte-size={16 * 1024 * 1024}",
            "--model-control-mode=explicit",
            *(f"--load-model={model}" for model in self.models),
            *self._http(),
            f"--grpc-address={self.host}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-address={self.metrics_host}",
            f"--metrics-port={self.metrics_port}",
            "--allow-cpu-metrics=false",
            "--allow-gpu-metrics=false",
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={self.exit_timeout}",
        ]

    def _http(self) -> tuple[str, ...]:
        if self.http_port is None:
            return ("--allow-http=false",)
        return (f"--http-address={self.host}", f"--http-port={self.http_port}")


class TritonServer:
    """Keeps one `tritonserver` running between `start` and `stop`. `on_restart` is called when it had to be started again."""

    def __init__(self, options: TritonOptions, on_restart: Callable[[], None] = lambda: None) -> None:
        self.options = options
        self._on_restart = on_restart
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        self._process = await self._launch()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Asks Triton to finish, kills what is left after its exit time-out, and removes its shared memory."""
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process and self._process.returncode is None:
            await self._terminate(self._process)
        self._sweep()

    def renew(self) -> None:
        """Kills a Triton that runs; it is started again as one that ended by itself."""
        if self._process and self._process.returncode is None:
            log.error("a stage of Triton is broken; killing Triton")
            self._kill_group(self._process.pid)

    async def _keep(self) -> None:
        backoff = _FIRST_BACKOFF
        while self._process is not None:
            started = time.monotonic()
            code = await self._process.wait()
            self._kill_group(self._process.pid)
            self._sweep()
            backoff = _FIRST_BACKOFF if time.monotonic() - started > _STABLE_SECONDS else min(2 * backoff, _MAX_BACKOFF)
            log.error("Triton ended with %s, see %s; starting it again in %.1f s", code, self.options.log_file, backoff)
            await asyncio.sleep(backoff)
            self.restarts += 1
            self._on_restart()
            self._process = await self._launch()

    async def _launch(self) -> asyncio.subprocess.Process:
        environment = os.environ | self.options.files.environment | dict(self.options.environment)
        with self.options.log_file.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *self.options.command(),
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        log.info("Triton started with pid %d for %s", process.pid, ", ".join(self.options.models))
        return process

    async def _terminate(self, process: asyncio.subprocess.Process) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.options.exit_timeout + 5)
        except TimeoutError:
            log.error("Triton did not end in time; killing it")
        self._kill_group(process.pid)
        await process.wait()

    def _kill_group(self, pid: int) -> None:
        """Stubs outlive a killed server: they share its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def _sweep(self) -> None:
        for path in FOLDER.glob(f"{self.options.shm_prefix}*"):
            path.unlink(missing_ok=True)
