"""What is written by a program and committed is what the program writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "services" / "orrery" / "v1"


def test_the_committed_stubs_are_the_generated_ones(tmp_path: Path) -> None:
    plugins = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(
        [sys.executable, ROOT / "build" / "stubs.py", "--out", tmp_path], check=True, env=plugins, capture_output=True
    )
    made = {path.name: path.read_text() for path in (tmp_path / "orrery" / "v1").iterdir()}
    assert made == {path.name: path.read_text() for path in STUBS.glob("*_pb2*")}
    assert "worlds_pb2_grpc.py" in made


def test_the_client_that_waits_is_the_other_one_without_await(tmp_path: Path) -> None:
    sdk = ROOT / "services" / "orrery" / "sdk"
    (tmp_path / "aio.py").write_text((sdk / "aio.py").read_text())
    subprocess.run([sys.executable, ROOT / "build" / "sync_client.py", tmp_path], check=True)
    assert (tmp_path / "client.py").read_text() == (sdk / "client.py").read_text()
