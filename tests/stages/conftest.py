from __future__ import annotations

from pathlib import Path

import pytest

from orrery.stages.stage import EngineHost, StageSettings
from stages.setting import PlainCall, Stages


@pytest.fixture(scope="session")
def settings(models_dir: Path) -> StageSettings:
    return StageSettings(models_dir=models_dir, threads=2)


@pytest.fixture(scope="session")
def stages(settings: StageSettings) -> Stages:
    return Stages(settings)


@pytest.fixture(scope="session")
def bls_stages(models_dir: Path) -> Stages:
    """Stages whose denoiser calls the transformer as another stage."""
    return Stages(StageSettings(models_dir=models_dir, threads=2, transformer=EngineHost.BLS))


@pytest.fixture
def call(stages: Stages) -> PlainCall:
    return PlainCall(stages)
