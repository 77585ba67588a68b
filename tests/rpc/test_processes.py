"""gRPC of a gateway that is a process of its own, on a real job store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM

import grpc
import pytest

from gateway.samples import png
from gateway.test_processes import answer, process
from orrery.embedded.settings import free_ports
from orrery.v1 import worlds_pb2 as v1
from orrery.v1.worlds_pb2_grpc import WorldsStub
from valkeys import own_valkey

PROMPT = "a robot arm stacks boxes"


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with own_valkey() as url:
        yield url


def test_a_gateway_serves_both_and_ends_although_someone_watches(redis_url: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = {"redis_url": redis_url, "artifacts_url": tmp_path.as_uri(), "grpc_port": str(port)}
    with process("orrery.gateway", **settings) as (started, url), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert answer(url + "/health/live", started).status_code == 200
        worlds = WorldsStub(channel)
        world = worlds.Create(v1.CreateRequest(prompt=PROMPT, input_reference=png(64, 48)), timeout=30)
        assert answer(f"{url}/v1/videos/{world.id}", started).json()["workflow"] == "video2world"
        watching = worlds.Watch(v1.WatchRequest(id=world.id))
        assert next(watching).type == "job.queued"
        started.send_signal(SIGTERM)
        stopping = time.monotonic()
        with pytest.raises(grpc.RpcError):
            list(watching)
        started.wait(timeout=20)
        assert time.monotonic() - stopping < 15


def test_without_a_port_there_is_no_grpc(redis_url: str, tmp_path: Path) -> None:
    with process("orrery.gateway", redis_url=redis_url, artifacts_url=tmp_path.as_uri()) as (started, url):
        answer(url + "/health/live", started)
        listening = {line.split()[1] for name in ("tcp", "tcp6") for line in sockets(started.pid, name)}
    assert len(listening) == 1


def sockets(pid: int, kind: str) -> list[str]:
    """The lines of the process's own listening sockets."""
    inodes: set[str] = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed since
            inodes.add(path.readlink().name.removeprefix("socket:[").rstrip("]"))
    lines = Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[3] == "0A" and line.split()[9] in inodes]
