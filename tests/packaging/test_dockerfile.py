"""The Dockerfile's rules, the target's too that is not built here."""

from __future__ import annotations

import io
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from dockerfile_parse import DockerfileParser

from orrery.dispatcher.settings import DispatcherSettings
from orrery.gateway.settings import GatewaySettings
from orrery.worker.settings import StageEnvironment
from orrery.worlds.environment import PREFIX

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {
    "gateway": GatewaySettings,
    "dispatcher": DispatcherSettings,
    "stage": StageEnvironment,
    "stage-gpu": StageEnvironment,
}


class Line(NamedTuple):
    instruction: str
    value: str


def parsed() -> list[Line]:
    content = (ROOT / "services" / "Dockerfile").read_bytes()
    structure = DockerfileParser(fileobj=io.BytesIO(content)).structure
    return [Line(entry["instruction"], entry["value"]) for entry in structure if entry["instruction"] != "COMMENT"]


def stages() -> dict[str, list[Line]]:
    """By name, each from its FROM on."""
    found: dict[str, list[Line]] = {}
    for line in parsed():
        if line.instruction == "FROM":
            name = line.value.partition(" AS ")[2]
            found[name] = []
        if found:
            found[name].append(line)
    return found


def values(target: str, instruction: str) -> list[str]:
    return [line.value for line in stages()[target] if line.instruction == instruction]


def test_every_base_is_a_build_argument_or_an_earlier_stage() -> None:
    known = {"${PYTHON_IMAGE}", "${TRITON_IMAGE}"}
    for name, lines in stages().items():
        assert lines[0].value.partition(" AS ")[0] in known
        known.add(name)
    assert known >= set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_numbered_user_and_says_how_it_is_asked(target: str) -> None:
    assert values(target, "USER") == ["10001:10001"]
    (check,) = values(target, "HEALTHCHECK")
    assert "orrery.health" in check
    assert "org.opencontainers.image.title" in values(target, "LABEL")[0]
    assert [line.instruction for line in stages()[target]][-1] == "CMD"


@pytest.mark.parametrize("target", TARGETS)
def test_what_an_image_sets_is_a_setting_of_its_process(target: str) -> None:
    names = re.findall(rf"{PREFIX}(\w+)=", " ".join(values(target, "ENV")))
    assert names != []
    assert {name.lower() for name in names} <= set(TARGETS[target].model_fields)


def test_nothing_is_installed_without_a_digest_but_what_was_built_here() -> None:
    commands = [line.value for line in parsed() if line.instruction == "RUN"]
    installs = [text for command in commands for text in command.split("&&") if re.search(r"pip .*\binstall\b", text)]
    assert len(installs) >= 9
    for text in installs:
        assert "--no-deps" in text
        assert ("--require-hashes" in text) != ("--no-index" in text and text.rstrip().endswith("/media/*.whl"))


def test_every_lock_is_what_an_image_is_made_of() -> None:
    locks = set(tomllib.loads((ROOT / "services" / "locks" / "images.toml").read_text()))
    copied = re.findall(r"^COPY services/locks/(\S+)\.txt ", (ROOT / "services" / "Dockerfile").read_text(), re.MULTILINE)
    assert set(copied) == locks


def test_the_version_is_the_project_s() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert [line.value for line in parsed() if line.instruction == "ARG" and line.value.startswith("VERSION=")] == [
        f"VERSION={version}"
    ]
    assert f"${{ORRERY_VERSION:-{version}}}" in (ROOT / "docker-compose.yml").read_text()
