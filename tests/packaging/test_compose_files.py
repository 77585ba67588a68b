"""docker-compose.yml and what may be laid over it, read as Compose reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from orrery.dispatcher.settings import DispatcherSettings
from orrery.gateway.settings import GatewaySettings
from orrery.worker.settings import StageEnvironment
from orrery.worker.triton_server import TritonOptions
from orrery.worlds.contracts import POOLED
from orrery.worlds.environment import PREFIX

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"gateway": GatewaySettings, "dispatcher": DispatcherSettings}
OVERLAYS = ("docker-compose.gpu.yml", "docker-compose.public.yml")
SECONDS_TO_KILL_TRITON = 5


class Loader(yaml.SafeLoader):
    """Compose's own tags say how files are laid over each other; the value is the same."""


Loader.add_constructor("!reset", lambda *_: None)
Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def services(file: str) -> dict[str, dict[str, Any]]:
    loaded: dict[str, Any] = yaml.load((ROOT / file).read_text(), Loader)  # noqa: S506 - a SafeLoader
    return dict(loaded["services"])


BASE = services("docker-compose.yml")
OWN = {name: service for name, service in BASE.items() if "build" in service}
STAGES = {name: service for name, service in OWN.items() if "ORRERY_STAGES" in service["environment"]}


@pytest.mark.parametrize("file", ["docker-compose.yml", *OVERLAYS])
def test_every_variable_is_a_setting(file: str) -> None:
    told = [(name, key) for name, service in services(file).items() for key in service.get("environment", {})]
    own = [(name, key) for name, key in told if key.startswith(PREFIX)]
    assert own != []
    for name, key in own:
        assert key.removeprefix(PREFIX).lower() in SETTINGS.get(name, StageEnvironment).model_fields


def test_each_pool_has_one_service() -> None:
    hosted = [stage for service in STAGES.values() for stage in service["environment"]["ORRERY_STAGES"].split(",")]
    assert sorted(hosted) == sorted(POOLED)


@pytest.mark.parametrize("name", BASE)
def test_a_service_can_do_no_more_than_it_must(name: str) -> None:
    service = BASE[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    # An image of ours names its user itself.
    assert name in OWN or int(service["user"]) > 0


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_the_time_to_drain(name: str) -> None:
    drain = int(re.fullmatch(r"\$\{ORRERY_DRAIN_SECONDS:-(\d+)\}", STAGES[name]["environment"]["ORRERY_DRAIN_SECONDS"])[1])
    (triton,) = (field.default for field in TritonOptions.__dataclass_fields__.values() if field.name == "exit_timeout")
    assert int(STAGES[name]["stop_grace_period"].removesuffix("s")) >= drain + triton + SECONDS_TO_KILL_TRITON


@pytest.mark.parametrize("name", STAGES)
def test_stages_reach_the_stores_and_only_the_upsampler_anything_else(name: str) -> None:
    assert STAGES[name]["networks"] == ["inside", *(["outside"] if name == "prompt-upsampler" else [])]
    assert STAGES[name]["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert STAGES[name]["volumes"] == ["artifacts:/var/lib/orrery/artifacts"]


def test_one_denoiser_on_each_card() -> None:
    cards = {name: service["deploy"]["resources"]["reservations"]["devices"] for name, service in gpu().items()}
    denoisers = [cards[name] for name in cards if name.startswith("denoiser")]
    assert denoisers == [[{"driver": "nvidia", "device_ids": [str(n)], "capabilities": ["gpu"]}] for n in range(8)]
    for count in range(2, 9):
        started = [name for name, service in gpu().items() if f"gpus-{count}" in service.get("profiles", [])]
        assert started == [f"denoiser-{n}" for n in range(1, count)]


def gpu() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in services("docker-compose.gpu.yml").items() if "deploy" in service}


def test_what_runs_on_a_card_is_the_image_for_it() -> None:
    assert {service["build"]["target"] for service in gpu().values()} == {"stage-gpu"}
    assert {service["image"].partition(":")[0] for service in gpu().values()} == {"orrery/stage-gpu"}
    assert set(STAGES) - set(gpu()) == {"guardrail", "publisher", "prompt-upsampler"}
