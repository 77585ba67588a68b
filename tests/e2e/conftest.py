"""One Orrery for all tests that need no other, and the tiny components it serves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.stack import Stack, running

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, str(ROOT / "build" / "tiny.py"), "--out", str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("orrery"), models_dir) as started:
        yield started
