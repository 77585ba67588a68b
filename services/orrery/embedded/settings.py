"""Where an embedded Orrery keeps its things, and on which ports it listens."""

from __future__ import annotations

import errno
import secrets
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from orrery.worlds.errors import InvalidField

PORTS = range(20_000, 30_000)
"""Above the well-known ones; Linux gives outgoing connections those from 32768 on, Kubernetes services those from 30000 on."""


@dataclass(frozen=True)
class EmbeddedSettings:
    """Everything is written below `home`; every port is on `host` except the gateway's two, which are on `gateway_host`.

    The first of `models` is the default; none is the catalog's.
    """

    home: Path
    models_dir: Path
    gateway_port: int
    grpc_port: int
    redis_port: int
    triton_port: int
    triton_metrics_port: int
    metrics_port: int
    dispatcher_port: int
    gateway_host: str = "127.0.0.1"
    host: str = "127.0.0.1"
    models: tuple[str, ...] = ()
    transformer: str = "in_process"
    stages: int = 1
    triton_http_port: int | None = None

    def __post_init__(self) -> None:
        """Raises `InvalidField` for a home in which Triton cannot start Python: it quotes paths for a shell, and no more."""
        if "'" in str(self.home.absolute()):
            raise InvalidField(f"Triton cannot run in {self.home.absolute()}", field="home", allowed="a path without '")

    @property
    def redis_url(self) -> str:
        return f"redis://{self.host}:{self.redis_port}/0"

    @property
    def artifacts_url(self) -> str:
        return (self.home / "artifacts").absolute().as_uri()

    @property
    def url(self) -> str:
        return f"http://{self.gateway_host}:{self.gateway_port}"

    @property
    def grpc_target(self) -> str:
        return f"{self.gateway_host}:{self.grpc_port}"

    @property
    def logs(self) -> Path:
        return self.home / "logs"


def on_free_ports(
    home: Path,
    models_dir: Path,
    *,
    gateway_port: int | None = None,
    grpc_port: int | None = None,
    triton_port: int | None = None,
) -> EmbeddedSettings:
    """Settings whose ports are free ones, but for those that are given."""
    gateway, grpc, redis, triton, triton_metrics, metrics, dispatcher = free_ports(7)
    return EmbeddedSettings(
        home=home,
        models_dir=models_dir,
        gateway_port=gateway_port or gateway,
        grpc_port=grpc_port or grpc,
        redis_port=redis,
        triton_port=triton_port or triton,
        triton_metrics_port=triton_metrics,
        metrics_port=metrics,
        dispatcher_port=dispatcher,
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now; all are held until the last is found, so that they differ.

    Not those that the kernel would pick: it gives the same ones to outgoing connections, and a process that takes its time to
    start would find its port gone.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = secrets.choice(PORTS)
            if _bound(held.enter_context(socket.socket()), port):
                ports.append(port)
    return ports


def _bound(one: socket.socket, port: int) -> bool:
    try:
        one.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True
