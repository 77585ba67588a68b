from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    script = Path(__file__).parents[2] / "build" / "tiny.py"
    subprocess.run([sys.executable, str(script), "--out", str(folder)], check=True)
    return folder
