"""The two programs that only images run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orrery.embedded.settings import free_ports


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Where `/there` answers, and nothing else."""
    (tmp_path / "there").touch()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_process_is_well_if_every_address_answers(site: str) -> None:
    (closed,) = free_ports(1)
    assert run("orrery.health", f"{site}/there", f"{site}/there").returncode == 0
    missing = run("orrery.health", f"{site}/there", f"{site}/missing")
    assert missing.returncode != 0
    assert "404" in missing.stderr
    assert run("orrery.health", f"{site}/there", f"http://127.0.0.1:{closed}/there").returncode != 0


def test_triton_is_laid_out_for_good(tmp_path: Path) -> None:
    assert run("orrery.worker.triton_files", str(tmp_path)).returncode == 0
    assert os.access(tmp_path / "tritonserver", os.X_OK)
    assert os.access(tmp_path / "backends" / "python" / "triton_python_backend_stub", os.X_OK)
    assert (tmp_path / "backends" / "python" / "libtriton_python.so").exists()
    assert list((tmp_path / "lib").glob("libtritonserver*"))
