"""The programs of `build/miniature`, run as their users run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).parents[1] / "build"


def output_of(program: str, *words: str) -> str:
    # Threads that spin while they wait take each other's time where there are fewer processors than programs.
    environment = os.environ | {"PYTHONPATH": str(BUILD), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-m", program, *words]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=400).stdout
