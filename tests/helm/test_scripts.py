"""The two scripts that the chart carries, each as its pod runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helm.chart import CHART, one, render
from orrery.worlds.components import ComponentKind, read_manifest, write_manifest

FILES = CHART / "files"


def run(script: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FILES / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


@pytest.mark.parametrize(("kind", "name", "script"), [("ConfigMap", "test", "video.py"), ("ConfigMap", "scripts", "models.py")])
def test_what_runs_in_the_cluster_is_what_is_tested_here(kind: str, name: str, script: str) -> None:
    objects = render({"modelCache": {"enabled": True, "components": {"t5-11b": "text_encoder"}}})
    assert one(objects, kind, name)["data"][script].strip() == (FILES / script).read_text().strip()


def test_a_fetched_folder_becomes_a_component_and_is_read_again_the_next_time(tmp_path: Path) -> None:
    (tmp_path / "t5-11b").mkdir()
    (tmp_path / "t5-11b" / "weights.safetensors").write_bytes(b"weights")
    first = run("models.py", "describe", tmp_path, "t5-11b=text_encoder")
    assert (first.returncode, first.stderr) == (0, "")
    assert read_manifest(tmp_path / "t5-11b").kind is ComponentKind.TEXT_ENCODER
    assert run("models.py", "await", tmp_path, "t5-11b").returncode == 0
    (tmp_path / "t5-11b" / "weights.safetensors").write_bytes(b"wrong!!")
    again = run("models.py", "describe", tmp_path, "t5-11b=text_encoder")
    assert again.returncode == 1
    assert "weights.safetensors is missing or has changed" in again.stderr


def test_a_component_that_nobody_fetched_is_named(tmp_path: Path) -> None:
    done = run("models.py", "describe", tmp_path, "wan2.1-vae=video_tokenizer")
    assert (done.returncode, "wan2.1-vae is not there" in done.stderr) == (1, True)


def test_stages_wait_until_their_components_are_described(tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    command = [sys.executable, str(FILES / "models.py"), "await", str(tmp_path), "late"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "waiting for late\n"
        write_manifest(tmp_path / "late", ComponentKind.TRANSFORMER)
        assert waiting.wait(timeout=30) == 0


class Gateway(ThreadingHTTPServer):
    """Answers as a gateway does that makes a video in two looks. `asked` is what it was asked, with the key."""

    def __init__(self, last: dict[str, object], content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.states = iter([{"status": "queued"}, {"status": "in_progress"}, last])
        self.content = content
        self.asked: list[tuple[str, str, str | None]] = []


class Answers(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(("POST", body["prompt"], self.headers["Authorization"]))
        self._answer(json.dumps({"id": "video_1", **next(self.server.states)}).encode(), 202)

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path, self.headers["Authorization"]))
        if self.path.endswith("/content"):
            self._answer(self.server.content)
        else:
            self._answer(json.dumps({"id": "video_1", **next(self.server.states)}).encode())

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Not to standard error."""


MP4 = b"\0\0\0 ftypisom" + bytes(100)


@contextmanager
def serving(last: dict[str, object], content: bytes = MP4) -> Iterator[Gateway]:
    with Gateway(last, content) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def video(server: Gateway) -> subprocess.CompletedProcess[str]:
    environment = {"ORRERY_API_KEY": "sk-1"}
    return run("video.py", f"http://127.0.0.1:{server.server_port}", "a ball", "20", environment=environment)


def test_a_video_is_asked_for_waited_for_and_looked_at() -> None:
    with serving({"status": "completed"}) as server:
        done = video(server)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["created video_1", f"made {len(MP4)} bytes"])
    assert server.asked[0] == ("POST", "a ball", "Bearer sk-1")
    assert [path for _, path, _ in server.asked[1:]] == ["/v1/videos/video_1"] * 2 + ["/v1/videos/video_1/content"]
    assert {key for *_, key in server.asked} == {"Bearer sk-1"}


@pytest.mark.parametrize(
    ("last", "content", "said"),
    [
        ({"status": "failed", "error": {"code": "attempts_exhausted"}}, MP4, "attempts_exhausted"),
        ({"status": "completed"}, b"<html>" * 10, "is no MP4"),
    ],
    ids=["a job that failed", "something else"],
)
def test_what_is_no_video_fails_the_test(last: dict[str, object], content: bytes, said: str) -> None:
    with serving(last, content) as server:
        done = video(server)
    assert (done.returncode, said in done.stderr) == (1, True)


def test_a_gateway_that_is_not_there_fails_the_test() -> None:
    done = run("video.py", "http://127.0.0.1:9", "a ball", "5")
    assert (done.returncode, "does not answer" in done.stderr) == (1, True)
