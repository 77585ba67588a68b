"""What tests of several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny import built


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny components. Tests that change some do it to a copy."""
    return built(tmp_path_factory.mktemp("models"))
