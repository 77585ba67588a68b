"""Compose and the chart start the same: images, what they are told, ports, and what is asked to see that they are well."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import yaml

from helm.chart import ROOT, Object, containers, environment, one, render
from orrery.dispatcher.settings import DispatcherSettings
from orrery.gateway.settings import GatewaySettings
from orrery.worker.settings import StageEnvironment
from orrery.worlds.environment import PREFIX, ProcessSettings

STAGES = ("guardrail", "text-encoder", "video-encoder", "denoiser", "video-decoder", "publisher")
KINDS: dict[str, type[ProcessSettings]] = {"gateway": GatewaySettings, "dispatcher": DispatcherSettings}
STATEFUL = ("redis",)
VARIABLE = re.compile(r"\$\{(\w+):?-([^}]*)\}")

ADDRESSES = {"ORRERY_HOST", "ORRERY_PORT", "ORRERY_GRPC_PORT", "ORRERY_METRICS_HOST"}
"""The chart says them again, since its ports must be those; compose leaves them to the image."""


@cache
def services() -> dict[str, Any]:
    """The services of `docker-compose.yml`, with the defaults in the place of variables."""
    text = (ROOT / "docker-compose.yml").read_text()
    read: dict[str, Any] = yaml.safe_load(VARIABLE.sub(lambda found: found[2], text))
    return dict(read["services"])


def pod(name: str) -> Object:
    kind = "StatefulSet" if name in STATEFUL else "Deployment"
    found: Object = one(render({}), kind, name)["spec"]["template"]["spec"]
    return found


def container(name: str) -> Object:
    (found,) = pod(name)["containers"]
    return dict(found)


def image_environment(target: str) -> dict[str, str]:
    """What the image of this name sets itself."""
    stages = re.split(r"^FROM ", (ROOT / "services" / "Dockerfile").read_text(), flags=re.MULTILINE)
    (own,) = [text for text in stages if re.match(rf"\S+ AS {target}\n", text)]
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"^ENV ((?:.*\\\n)*.*)$", own, flags=re.MULTILINE))))


def test_both_have_the_same_services() -> None:
    made = {item["metadata"]["name"].partition("-")[2] for item in render({}) if item["kind"] in {"Deployment", "StatefulSet"}}
    running = {name for name, service in services().items() if "profiles" not in service}
    assert made == running == {"redis", "gateway", "dispatcher", *STAGES}


@pytest.mark.parametrize("name", ["redis", "gateway", "dispatcher", *STAGES])
def test_both_run_the_same_image_by_its_own_command(name: str) -> None:
    assert container(name)["image"] == services()[name]["image"]
    if name not in STATEFUL:
        assert not {"command", "args"} & set(container(name))
        assert not {"command", "entrypoint"} & set(services()[name])


@pytest.mark.parametrize("name", ["gateway", "dispatcher", *STAGES])
def test_both_say_the_same(name: str) -> None:
    """Told to a process or its own default is the same."""
    fields = KINDS.get(name, StageEnvironment).model_fields
    usual = {PREFIX + field.upper(): str(info.default) for field, info in fields.items() if not info.is_required()}
    charted = {key: value for key, value in environment(container(name)).items() if key not in ADDRESSES}
    composed = {key: str(value) for key, value in services()[name]["environment"].items() if value is not None}
    charted = {key: value.replace("//orrery-", "//") for key, value in charted.items()}
    for key in charted.keys() | composed.keys():
        assert _same(charted.get(key, usual.get(key)), composed.get(key, usual.get(key))), key


def _same(one_says: str | None, other_says: str | None) -> bool:
    try:
        return float(str(one_says)) == float(str(other_says))
    except ValueError:
        return one_says == other_says


@pytest.mark.parametrize(("name", "target"), [("gateway", "gateway"), ("dispatcher", "dispatcher"), ("denoiser", "stage")])
def test_what_the_chart_says_of_addresses_is_what_the_image_says(name: str, target: str) -> None:
    own = image_environment(target)
    charted = {key: value for key, value in environment(container(name)).items() if key in ADDRESSES}
    assert charted == {key: value for key, value in own.items() if key in ADDRESSES}
    assert len(charted) >= 1


def asked(name: str) -> set[tuple[int, str]]:
    """Port and path of every question that Kubernetes asks a container."""
    ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    probes = [container(name)[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")]
    return {(ports[probe["port"]], probe["path"]) for probe in probes}


def checked(name: str) -> set[tuple[int, str]]:
    """The same of compose's health check."""
    words = " ".join(services()[name]["healthcheck"]["test"])
    return {(int(port), path) for port, path in re.findall(r"http://127\.0\.0\.1:(\d+)(/\S+)", words)}


@pytest.mark.parametrize("name", ["dispatcher", *STAGES])
def test_both_ask_the_same_to_see_that_a_process_is_well(name: str) -> None:
    assert asked(name) == checked(name)
    assert checked(name) != set()


def test_a_gateway_is_ready_in_the_chart_while_stages_sleep_and_in_compose_when_they_are_up() -> None:
    assert asked("gateway") == {(8080, "/health/live")}
    assert checked("gateway") == {(8080, "/health/ready")}


def test_the_published_ports_are_those_of_the_service() -> None:
    published = {int(entry.rpartition(":")[2]) for entry in services()["gateway"]["ports"]}
    assert published == {port["port"] for port in one(render({}), "Service", "gateway")["spec"]["ports"]}
    assert [name for name, service in services().items() if "ports" in service and "profiles" not in service] == ["gateway"]


def test_both_start_the_job_store_alike_and_ask_it_the_same() -> None:
    command = services()["redis"]["command"]
    assert command[0] == container("redis")["command"][0]
    assert _options(command[1:]) == _options(container("redis")["args"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        words = container("redis")[probe]["exec"]["command"]
        assert (words[0], words[-1]) == ("valkey-cli", "ping")
    assert "valkey-cli ping" in " ".join(services()["redis"]["healthcheck"]["test"])


def _options(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("name", ["redis", "gateway", "dispatcher", *STAGES])
def test_both_have_somebody_who_takes_note_of_the_ends_of_orphans(name: str) -> None:
    assert (services()[name]["init"], pod(name)["shareProcessNamespace"]) == (True, True)


@pytest.mark.parametrize("name", STAGES)
def test_both_wait_as_long_for_a_stage_that_is_to_end(name: str) -> None:
    assert f"{pod(name)['terminationGracePeriodSeconds']}s" == services()[name]["stop_grace_period"]


def test_both_run_as_the_user_of_the_images() -> None:
    users = set(re.findall(r"^USER (\d+):(\d+)$", (ROOT / "services" / "Dockerfile").read_text(), flags=re.MULTILINE))
    context = pod("denoiser")["securityContext"]
    assert users == {(str(context["runAsUser"]), str(context["runAsGroup"]))}
    assert all(services()[name].get("user") is None for name in services() if name.startswith(STAGES))


@pytest.mark.parametrize("name", ["gateway", "dispatcher", *STAGES])
def test_both_run_with_a_root_that_cannot_be_written_and_nothing_to_escalate(name: str) -> None:
    service = services()[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]
    mounted = {mount["mountPath"] for one_ in containers({"spec": pod(name)}) for mount in one_["volumeMounts"]}
    composed = {entry.partition(":")[2] for entry in service["volumes"]} | {
        entry.partition(":")[0] for entry in service["tmpfs"]
    }
    assert mounted - {"/dev/shm"} == composed
