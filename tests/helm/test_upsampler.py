"""The prompt upsampler, which an installation has if it is asked for: what it is told, and what it alone may reach."""

from __future__ import annotations

from typing import Any

import pytest

from helm.chart import Object, containers, environment, one, render
from helm.network import Network, Place, network_of
from helm.test_compose import services
from orrery.worker.settings import StageEnvironment
from orrery.worlds.environment import PREFIX, from_environment

NAME = "prompt-upsampler"
VALUES: dict[str, Any] = {
    "gateway": {"settings": {"prompt_upsampling": "always"}},
    "stages": {
        NAME: {
            "enabled": True,
            "endpoint": {"ports": [8000], "apiKeySecret": {"name": "vllm", "key": "token"}},
            "settings": {
                "upsampler_url": "http://vllm.models:8000/v1",
                "upsampler_model": "reason1",
                "upsampler_fail": "closed",
            },
        }
    },
}
VLLM = Place("vllm", {"app": "vllm"}, namespace="models")


@pytest.fixture(scope="module")
def deployment() -> Object:
    return dict(one(render(VALUES), "Deployment", NAME)["spec"]["template"])


def test_nobody_has_it_who_does_not_ask_for_it() -> None:
    assert [item["metadata"]["name"] for item in render({}) if NAME in item["metadata"]["name"]] == []


def test_it_is_told_its_endpoint_and_its_key_by_a_secret(deployment: Object) -> None:
    (container,) = (one_ for one_ in containers(deployment) if one_["name"] == "stage")
    told, key_name = environment(container), "ORRERY_UPSAMPLER_API_KEY"
    assert told[key_name] == {"secretKeyRef": {"name": "vllm", "key": "token"}}
    read = from_environment(StageEnvironment, {**told, key_name: "sesame", "ORRERY_RUN_DIR": "/tmp/run"})
    assert (read.upsampler_url, read.upsampler_model, read.upsampler_fail) == (
        "http://vllm.models:8000/v1",
        "reason1",
        "closed",
    )
    assert read.stages == ("prompt_upsampler",)


def test_the_gateway_is_told_that_it_is_there() -> None:
    (gateway,) = one(render(VALUES), "Deployment", "gateway")["spec"]["template"]["spec"]["containers"]
    assert environment(gateway)["ORRERY_PROMPT_UPSAMPLING"] == "always"


def test_it_alone_reaches_the_endpoint_and_no_more_than_that() -> None:
    network: Network = network_of(VALUES)
    able = {name for name, place in network.places.items() if network.allows(place, VLLM, 8000)}
    assert able == {NAME}
    assert not network.allows(network.places[NAME], VLLM, 22)
    assert network.allows(network.places[NAME], network.places["redis"], 6379)


def test_compose_has_the_same_under_a_profile(deployment: Object) -> None:
    composed = services()[NAME]
    (container,) = containers(deployment)
    assert (composed["profiles"], composed["image"]) == ([NAME], container["image"])
    told = {key for key in composed["environment"] if key.startswith(f"{PREFIX}UPSAMPLER_")}
    assert told == {PREFIX + field.upper() for field in StageEnvironment.model_fields if field.startswith("upsampler_")}
    assert "ORRERY_PROMPT_UPSAMPLING" in services()["gateway"]["environment"]
