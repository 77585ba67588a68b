"""The tiny components, built by the script that builds them for everyone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "build" / "tiny.py"


def built(folder: Path) -> Path:
    """The folder, with all components in it. In a process of its own: most who want them do without torch."""
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(folder)], check=True)
    return folder
