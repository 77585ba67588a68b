"""What may be laid over docker-compose.yml, as the real Compose puts it together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compose.engine import ROOT, Engine

PRESETS = sorted((ROOT / "services" / "presets").glob("*.env"))
FILES = ("--file", "docker-compose.yml", "--file", "docker-compose.gpu.yml")


@pytest.fixture(scope="module")
def machine(engine: Engine) -> Engine:
    return Engine({**engine.environment, "ORRERY_MODELS_FOLDER": "/srv/models"})


def composed(machine: Engine, preset: Path, *options: str) -> dict[str, Any]:
    command = ("compose", *FILES, "--env-file", str(preset), *options, "config", "--format", "json")
    services: dict[str, Any] = json.loads(machine.docker(*command))["services"]
    return services


def test_there_is_a_denoiser_on_each_of_four_cards(machine: Engine) -> None:
    services = composed(machine, PRESETS[0], "--profile", "gpus-4")
    denoisers = {name: service for name, service in services.items() if name.startswith("denoiser")}
    assert len(denoisers) == 4
    cards = [service["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for service in denoisers.values()]
    assert sorted(cards) == [["0"], ["1"], ["2"], ["3"]]
    for service in denoisers.values():
        assert service["read_only"] is True
        assert service["environment"]["ORRERY_STAGES"] == "denoiser"
        assert service["build"]["target"] == "stage-gpu"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_preset_tells_gateway_and_stages_the_same(machine: Engine, preset: Path) -> None:
    services = json.loads(machine.docker("compose", *FILES, "--env-file", str(preset), "config", "--format", "json"))[
        "services"
    ]
    served = services["gateway"]["environment"]["ORRERY_MODELS"]
    components = services["denoiser"]["environment"]["ORRERY_COMPONENTS"].split(",")
    assert all(any(component.startswith(model) for component in components) for model in served.split(","))
    assert services["guardrail"]["environment"]["ORRERY_COMPONENTS"] == ""


def test_without_a_preset_or_a_folder_of_components_nothing_starts(engine: Engine) -> None:
    with pytest.raises(AssertionError, match=r"take a preset|the folder of components"):
        engine.docker("compose", *FILES, "config", "--quiet")
