"""One Orrery for all examples, with every door open: HTTP, gRPC, and Triton's own two."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.stack import Stack, running
from orrery.embedded.settings import free_ports

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass
class Doors:
    stack: Stack
    triton_http: int

    @property
    def environment(self) -> dict[str, str]:
        """What the examples read, and nothing of this machine's own but where its programs are."""
        home = self.stack.home
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ORRERY_URL": str(self.stack.client.base_url),
            "ORRERY_GRPC": (home / "grpc-url").read_text().strip(),
            "TRITON_GRPC": (home / "triton-url").read_text().strip(),
            "TRITON_HTTP": f"127.0.0.1:{self.triton_http}",
            "ORRERY_WEBHOOK_SECRET": (home / "webhook-secret").read_text(),
        }


@pytest.fixture(scope="session")
def doors(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Doors]:
    (port,) = free_ports(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORRERY_WEBHOOK_ALLOW_PRIVATE", "true")
        with running(tmp_path_factory.mktemp("orrery"), models_dir, "--triton-http-port", str(port)) as stack:
            yield Doors(stack, port)


@dataclass
class Stage:
    """Where one example is run: in a folder of its own."""

    doors: Doors
    folder: Path

    def run(self, name: str) -> str:
        path = EXAMPLES / name
        command = [path] if path.suffix == ".sh" else [sys.executable, path]
        done = subprocess.run(
            command, cwd=self.folder, env=self.doors.environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture
def stage(doors: Doors, tmp_path: Path) -> Stage:
    return Stage(doors, tmp_path)
