"""What is in the images, what is not, and that each starts as anybody on a file system that nobody can write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from compose.bases import VALKEY
from compose.engine import ROOT, Engine
from compose.project import BUILT, TAG, eventually, image
from compose.results import Results

IMAGES = tuple(BUILT)
ANYBODY = "23456:23456"
TORCHLESS = ("gateway", "dispatcher")

INSTALLED = """
import importlib.metadata, json
print(json.dumps({d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}))
"""
FILES = """
import json, os
walk = (names for folder, _, names in os.walk("/") if not folder.startswith(("/proc", "/sys")))
print(json.dumps(sorted({name for names in walk for name in names})))
"""
INSTALLERS = re.compile(r"pip|pip\d.*|uv|conda")
COMPILERS = re.compile(r"(x86_64-linux-gnu-)?(gcc|g\+\+|cpp|ld|as)(-\d+)?|cc|c\+\+|cc1|cc1plus|clang.*|tcc|rustc|go|nvcc|ptxas")

NEEDED = {
    "gateway": {"ORRERY_API_KEYS": "off"},
    "dispatcher": {},
    "stage": {"ORRERY_STAGES": "guardrail_text,publisher"},
}


def inspected(engine: Engine, name: str) -> dict[str, object]:
    (found,) = json.loads(engine.docker("image", "inspect", image(name)))
    return dict(found["Config"]) | {"Size": found["Size"]}


def said(engine: Engine, name: str, code: str) -> object:
    """What a program prints in the image, as JSON. As root, so that no folder is closed to it."""
    options = ("--rm", "--read-only", "--network", "none", "--user", "0", "--entrypoint", "python")
    return json.loads(engine.docker("run", *options, image(name), "-c", code))


def locked(name: str) -> dict[str, str]:
    """Versions by name of what the lock of an image holds."""
    text = (ROOT / "services" / "locks" / f"{name}.txt").read_text()
    return {plain(found[1]): found[2] for found in re.finditer(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_what_its_lock_names_and_nothing_else(images: Engine, name: str) -> None:
    installed = said(images, name, INSTALLED)
    assert isinstance(installed, dict)
    own = {plain(package): version for package, version in installed.items()}
    assert own.pop("orrery-serve") == "0.1.0"
    assert own == locked(name)


@pytest.mark.parametrize("name", IMAGES)
def test_nothing_in_an_image_installs_or_compiles(images: Engine, name: str) -> None:
    files = said(images, name, FILES)
    assert isinstance(files, list)
    assert "python3" in files
    assert [file for file in files if INSTALLERS.fullmatch(file) or COMPILERS.fullmatch(file)] == []
    modules = said(images, name, "import json, pkgutil; print(json.dumps([m.name for m in pkgutil.iter_modules()]))")
    assert isinstance(modules, list)
    assert "orrery" in modules
    assert {"pip", "ensurepip"} & set(modules) == set()


@pytest.mark.parametrize("name", TORCHLESS)
def test_there_is_no_torch_where_none_is_needed(images: Engine, name: str) -> None:
    assert {"torch", "diffusers", "transformers", "tritonclient", "nvidia-pytriton"} & set(locked(name)) == set()
    code = "import importlib.util, json; print(json.dumps(importlib.util.find_spec('torch') is None))"
    assert said(images, name, code) is True


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_says_what_it_is(images: Engine, name: str) -> None:
    config = inspected(images, name)
    labels = config["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == TAG
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert name in labels["org.opencontainers.image.title"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]


@pytest.mark.parametrize("name", IMAGES)
def test_the_bill_of_materials_names_every_package(images: Engine, name: str) -> None:
    bill = said(images, name, "print(open('/opt/orrery/sbom.cdx.json').read())")
    assert isinstance(bill, dict)
    assert bill["bomFormat"] == "CycloneDX"
    named = {plain(component["name"]): component["version"] for component in bill["components"]}
    named.pop("orrery-serve")
    assert named == locked(name)


@pytest.mark.parametrize("name", IMAGES)
def test_sizes_are_recorded(images: Engine, results: Results, name: str) -> None:
    size = inspected(images, name)["Size"]
    assert isinstance(size, int)
    results.note(f"{name}_image_mb", size / 1e6)
    base = json.loads(images.docker("image", "inspect", "orrery-test/python:3.11-slim-bookworm"))[0]["Size"]
    results.note("python_base_image_mb", base / 1e6)
    assert size > base


@pytest.fixture(scope="module")
def store(images: Engine) -> Iterator[Network]:
    """A network with a Valkey on it that is called `redis`."""
    testcontainers_config.ryuk_disabled = True
    with Network() as network:
        valkey = DockerContainer(VALKEY, network=network, network_aliases=["redis"], user="999")
        with valkey.with_command("valkey-server --protected-mode no"):
            yield network


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_gets_healthy_as_anybody_where_nothing_can_be_written(store: Network, name: str) -> None:
    container = DockerContainer(image(name), network=store, user=ANYBODY)
    container.with_kwargs(read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"])
    container.with_tmpfs_mount("/tmp")
    stores = {"ORRERY_REDIS_URL": "redis://redis:6379/0", "ORRERY_ARTIFACTS_URL": "file:///tmp/artifacts"}
    container.with_envs(**stores, **NEEDED[name])
    with container:
        eventually(lambda: health(container) == "healthy", seconds=120, pause=0.5)


def health(container: DockerContainer) -> str:
    found = container.get_wrapped_container()
    found.reload()
    state = found.attrs["State"]
    assert state["Running"], found.logs().decode()
    return str(state["Health"]["Status"])


def test_a_gateway_that_others_reach_does_not_start_without_keys(images: Engine) -> None:
    stores = ("ORRERY_REDIS_URL=redis://redis:6379/0", "ORRERY_ARTIFACTS_URL=file:///tmp/artifacts")
    settings = [part for value in stores for part in ("--env", value)]
    with pytest.raises(AssertionError, match="without API keys"):
        images.docker("run", "--rm", "--read-only", *settings, image("gateway"))
