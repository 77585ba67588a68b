"""Every package of every image is pinned, has a digest, and is there because an extra asks for it.

What the vulnerability databases say of these packages is not asked: the machines that run these tests do not reach them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "services" / "locks"
IMAGES: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "images.toml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HERE = [name for name, image in IMAGES.items() if image["python"].startswith("3.11") and "extras" in image]
"""Locks whose packages are installed where tests run, so that what they ask for can be read."""

ENTRY = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<digests>( \\\n    --hash=sha256:[0-9a-f]{64})*)\n", re.MULTILINE
)


def entries(name: str) -> dict[str, re.Match[str]]:
    text = (FOLDER / f"{name}.txt").read_text()
    found = {canonicalize_name(entry["name"]): entry for entry in ENTRY.finditer(text)}
    rest = ENTRY.sub("", text).splitlines()
    assert all(line.startswith("#") for line in rest), rest
    return found


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    rows = (line.partition("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): Version(version) for name, _, version in rows}


def wanted(requirements: Iterable[str], marks: dict[str, str], extras: Iterable[str] = ("",)) -> Iterator[Requirement]:
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or any(requirement.marker.evaluate(marks | {"extra": extra}) for extra in extras):
            yield requirement


def closure(name: str) -> set[str]:
    """All that the extras of an image ask for, and what that asks for in its turn."""
    marks = {"python_version": "3.11", "python_full_version": IMAGES[name]["python"]}
    own = [text for extra in IMAGES[name]["extras"] for text in PROJECT["optional-dependencies"][extra]]
    waiting = list(wanted([*PROJECT["dependencies"], *own], marks))
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name), tuple(sorted(requirement.extras))
        if key not in seen:
            seen.add(key)
            waiting += wanted(asked_by(*key), marks, key[1] or ("",))
    return {package for package, _ in seen} - {"orrery-serve"}


def asked_by(package: str, extras: tuple[str, ...]) -> list[str]:
    if package == "orrery-serve":
        return [text for extra in extras for text in PROJECT["optional-dependencies"][extra]]
    try:
        return requires(package) or []
    except PackageNotFoundError:
        # Asked for by the older Python of an image alone. It is in the lock, or the comparison fails.
        return []


@pytest.mark.parametrize("name", IMAGES)
def test_every_package_has_a_digest(name: str) -> None:
    found = entries(name)
    assert len(found) > 10
    assert [package for package, entry in found.items() if not entry["digests"]] == []


@pytest.mark.parametrize("name", HERE)
def test_a_lock_holds_what_its_extras_ask_for_and_nothing_else(name: str) -> None:
    assert set(entries(name)) == closure(name), "make locks"


@pytest.mark.parametrize("name", [name for name in IMAGES if "extras" in IMAGES[name]])
def test_versions_are_those_that_are_tested(name: str) -> None:
    pinned = pins()
    versions = {package: Version(entry["version"]).public for package, entry in entries(name).items()}
    others = {
        package: version for package, version in versions.items() if Version(version) != pinned.get(package, Version(version))
    }
    assert others == {}
    assert len(versions.keys() & pinned.keys()) > 20


def test_images_without_models_have_no_torch() -> None:
    assert {"torch"} & (set(entries("gateway")) | set(entries("dispatcher"))) == set()
    assert entries("stage")["torch"]["version"].endswith("+cpu")
    assert not entries("stage-gpu")["torch"]["version"].endswith("+cpu")
