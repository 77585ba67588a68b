from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from orrery.stages.stage import EngineHost, StageSettings
from stages.setting import ROOT, PlainCall, Stages


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny components, built by the script that builds them for everyone."""
    folder = tmp_path_factory.mktemp("models")
    runpy.run_path(str(ROOT / "build" / "tiny.py"))["build"](folder)
    return folder


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
