"""The repository's own docker-compose.yml, as its users start it, under a name of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compose.bases import PROMETHEUS, PYTHON, VALKEY
from compose.engine import Engine
from orrery.embedded.settings import free_ports

TAG = "test"
NAME = "orrery-test"
STAGES = ("guardrail", "text-encoder", "video-encoder", "denoiser", "video-decoder", "publisher")
SERVICES = ("redis", "gateway", "dispatcher", *STAGES)
BUILT = {"gateway": "gateway", "dispatcher": "dispatcher", "stage": "denoiser"}
"""A service of each image."""


@dataclass(frozen=True)
class Container:
    """`id` as the host name in it begins, which is how a worker's name begins."""

    id: str
    name: str
    service: str
    state: str
    health: str
    image: str


@dataclass(frozen=True)
class Project:
    engine: Engine
    url: str
    grpc_target: str
    prometheus_url: str

    def compose(self, *arguments: str, seconds: float = 120.0) -> str:
        return self.engine.docker("compose", *arguments, seconds=seconds)

    def up(self, *arguments: str) -> None:
        """Does not wait until anything is ready, and builds nothing."""
        self.compose("up", "--detach", "--no-build", *arguments)

    def containers(self, *services: str) -> list[Container]:
        rows = [json.loads(line) for line in self.compose("ps", "--all", "--format", "json", *services).splitlines()]
        return [Container(row["ID"], row["Name"], row["Service"], row["State"], row["Health"], row["Image"]) for row in rows]


def project(engine: Engine, settings: Mapping[str, str]) -> Project:
    """With the built images and these settings, on ports that are free now."""
    http, grpc, prometheus = free_ports(3)
    own = {
        "COMPOSE_PROJECT_NAME": NAME,
        "COMPOSE_PROGRESS": "plain",
        "ORRERY_VERSION": TAG,
        "PYTHON_IMAGE": PYTHON,
        "VALKEY_IMAGE": VALKEY,
        "ORRERY_HTTP_PORT": str(http),
        "ORRERY_GRPC_PORT": str(grpc),
        "ORRERY_PROMETHEUS_PORT": str(prometheus),
        "PROMETHEUS_IMAGE": PROMETHEUS,
    }
    environment = dict(engine.environment) | own | dict(settings)
    here = "127.0.0.1"
    return Project(
        replace(engine, environment=environment),
        url=f"http://{here}:{http}",
        grpc_target=f"{here}:{grpc}",
        prometheus_url=f"http://{here}:{prometheus}",
    )


def build(engine: Engine, pip_conf: Path) -> None:
    """The images that are not for a GPU."""
    building = project(engine, {"ORRERY_BUILD_NETWORK": "host", "PIP_CONFIG_FILE": str(pip_conf)})
    building.compose("build", *BUILT.values(), seconds=900)


def image(name: str) -> str:
    return f"orrery/{name}:{TAG}"


def eventually(condition: Callable[[], Any], *, seconds: float, pause: float = 0.1) -> Any:
    """What the condition gives as soon as it holds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(pause)
    return found


@contextmanager
def gone_afterwards(started: Project) -> Iterator[Project]:
    """Nothing of it stays: containers, networks, volumes. What is left of an earlier run goes first."""
    clear(started)
    try:
        yield started
    except BaseException:
        print(started.compose("logs", "--tail", "40"))
        raise
    finally:
        clear(started)


def clear(started: Project) -> None:
    started.compose("--profile", "*", "down", "--volumes", "--timeout", "2")
