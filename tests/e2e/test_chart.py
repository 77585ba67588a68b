"""What `helm test` runs in a cluster, against a gateway with everything behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from e2e.stack import Stack

VIDEO = Path(__file__).parents[2] / "helm" / "orrery" / "files" / "video.py"


def test_the_test_of_the_chart_makes_a_video(stack: Stack) -> None:
    command = [
        sys.executable,
        str(VIDEO),
        str(stack.client.base_url),
        "A red ball rolls across a wooden table in warm light.",
        "120",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("made ")
