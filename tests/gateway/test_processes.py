"""The gateway and the dispatcher as processes, on a real job store, without torch."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from orrery.embedded.settings import free_ports
from orrery.gateway.edge.keys import Quota, new_key
from valkeys import own_valkey

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {'torch', 'diffusers', 'transformers', 'tritonclient'}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize(
    "modules",
    ["orrery.gateway.serve, orrery.gateway.app", "orrery.dispatcher.serve", "orrery.stages.guardrail_text"],
)
def test_importing_needs_no_torch(modules: str) -> None:
    subprocess.run([sys.executable, "-c", BLOCKED + f"import {modules}"], check=True, timeout=60)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with own_valkey() as url:
        yield url


@contextmanager
def process(module: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running `python -m module` that answers HTTP, and its URL; it must end well when it is told to stop."""
    (port,) = free_ports(1)
    variables = {f"ORRERY_{name.upper()}": value for name, value in environment.items()} | {"ORRERY_PORT": str(port)}
    started = subprocess.Popen([sys.executable, "-m", module], env=os.environ | variables, stderr=subprocess.PIPE)
    try:
        yield started, f"http://127.0.0.1:{port}"
        started.send_signal(signal.SIGTERM)
        _, said = started.communicate(timeout=20)
        assert started.returncode == 0, said.decode()
        assert b"Traceback" not in said, said.decode()
    finally:
        started.kill()
        started.communicate()


def answer(url: str, started: subprocess.Popen[bytes], *, seconds: float = 30.0) -> httpx.Response:
    """The first answer of a server that is just starting."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and started.poll() is None:
        try:
            return httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


def test_a_gateway_serves_and_stops(redis_url: str, tmp_path: Path) -> None:
    with process("orrery.gateway", redis_url=redis_url, artifacts_url=tmp_path.as_uri()) as (started, url):
        assert answer(url + "/health/live", started).status_code == 200
        with httpx.Client(base_url=url, trust_env=False) as client:
            job = client.post("/v1/videos", json={"prompt": "a robot"}).json()
            assert client.get(f"/v1/videos/{job['id']}").json()["status"] == "queued"
            assert client.delete(f"/v1/videos/{job['id']}").json()["deleted"]
            assert "guardrail_text" in client.get("/health/ready").json()["missing"]


def test_a_gateway_stops_although_someone_follows_a_job(redis_url: str, tmp_path: Path) -> None:
    settings = {"redis_url": redis_url, "artifacts_url": tmp_path.as_uri(), "shutdown_seconds": "1"}
    with process("orrery.gateway", **settings) as (started, url):
        answer(url + "/health/live", started)
        client = httpx.Client(base_url=url, trust_env=False)
        job = client.post("/v1/videos", json={"prompt": "a robot"}).json()
        with client.stream("GET", f"/v1/videos/{job['id']}/events") as events:
            assert next(events.iter_lines()).startswith("retry: ")
            started.send_signal(signal.SIGTERM)
            started.wait(timeout=20)
    client.close()


def test_a_dispatcher_shows_the_pools_and_stops(redis_url: str, tmp_path: Path) -> None:
    settings = {"redis_url": redis_url, "artifacts_url": tmp_path.as_uri(), "refresh_seconds": "0.1"}
    with process("orrery.dispatcher", **settings) as (started, url):
        text = answer(url + "/metrics", started).text
        deadline = time.monotonic() + 10
        while "orrery_job_store_up 1.0" not in text and time.monotonic() < deadline:
            text = httpx.get(url + "/metrics", trust_env=False).text
        assert "orrery_job_store_up 1.0" in text


def test_a_gateway_with_keys_asks_for_them(redis_url: str, tmp_path: Path) -> None:
    secret, key = new_key(tenant="a", quota=Quota(jobs=1))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key.model_dump(mode="json")]}))
    settings = {"redis_url": redis_url, "artifacts_url": tmp_path.as_uri(), "api_keys_file": str(tmp_path / "keys.json")}
    with process("orrery.gateway", host="0.0.0.0", head_seconds="0.5", **settings) as (started, url):
        assert answer(url + "/health/live", started).status_code == 200
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.get("/v1/videos").status_code == 401
            client.headers["Authorization"] = f"Bearer {secret}"
            job = client.post("/v1/videos", json={"prompt": "a robot"}).json()
            assert job["tenant"] == "a"
            refused = client.post("/v1/videos", json={"prompt": "a robot"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "quota_exceeded")
            assert client.delete(f"/v1/videos/{job['id']}").json()["deleted"]
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=10) as slow:
            slow.sendall(b"GET /health/li")
            assert slow.recv(1) == b""


def test_a_gateway_that_everybody_could_use_does_not_start(redis_url: str, tmp_path: Path) -> None:
    variables = {"ORRERY_REDIS_URL": redis_url, "ORRERY_ARTIFACTS_URL": tmp_path.as_uri(), "ORRERY_HOST": "0.0.0.0"}
    started = subprocess.run(
        [sys.executable, "-m", "orrery.gateway"], env=os.environ | variables, capture_output=True, timeout=60, check=False
    )
    assert started.returncode != 0
    assert b"ORRERY_API_KEYS_FILE" in started.stderr
