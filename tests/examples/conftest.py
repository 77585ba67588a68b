"""The shared Orrery as the examples see it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.stack import Stack

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
def doors(stack: Stack, triton_http_port: int) -> Doors:
    return Doors(stack, triton_http_port)


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
