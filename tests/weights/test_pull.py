"""`orrery models pull` against a server that speaks the hub's protocol, in this process and as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub.constants import DOWNLOAD_CHUNK_SIZE

from orrery.client.exits import Exit
from orrery.weights.errors import ChecksumMismatch, HubDenied, HubMissing, HubUnreachable, NoSpace
from orrery.weights.hub import HuggingFaceHub, Told
from orrery.weights.inventory import specs_of
from orrery.weights.pulling import Pulled, Watcher, pull
from orrery.worlds.catalog.components import COMPONENTS
from orrery.worlds.components import MANIFEST, PACKAGED, installed, read_manifest, verify
from orrery.worlds.errors import ComponentUnusable, OrreryError, UnknownModel
from weights.hub import FakeHub, Repository, hub_of

SHARED, WORLD_REPOSITORY = "nvidia/Cosmos-Predict2-2B-Text2Image", "nvidia/Cosmos-Predict2-2B-Video2World"
WORLD, IMAGE = "predict2-2b-video2world-720p16", "predict2-2b-text2image"
VAE, TEXT = "wan2.1-vae", "t5-11b"
MINE = "hf_mine"
KEPT = DOWNLOAD_CHUNK_SIZE
"""What comes is written in pieces of this size: the rest of a piece is lost with the connection."""
CUT = KEPT + 1000
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def under(folder: str, component: Path) -> dict[str, bytes]:
    files = (path for path in component.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {f"{folder}/{path.relative_to(component)}": path.read_bytes() for path in files}


def shared() -> Repository:
    """As diffusers saves a pipeline, with files beside that no stage needs."""
    text = under("text_encoder", PACKAGED / "miniature-t5")
    text = {name.replace("text_encoder/tokenizer/", "tokenizer/"): data for name, data in text.items()}
    files = text | under("vae", PACKAGED / "miniature-wan-vae") | under("transformer", PACKAGED / "miniature-text2image")
    strangers = {"model.pt": bytes(9000), "README.md": b"read me", "vae/diffusion_pytorch_model.fp16.safetensors": bytes(5000)}
    return Repository(files | strangers | {"transformer/sub/config.json": b"{}"})


def world() -> Repository:
    """Its weights are longer than a piece of what is written at a time."""
    files = under("transformer", PACKAGED / "miniature-video2world")
    assert len(files[WEIGHTS]) > CUT
    return Repository(files, commit="f" * 40)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with hub_of() as hub:
        hub.repositories = {SHARED: shared(), WORLD_REPOSITORY: world()}
        yield hub


class Lines:
    """What a watcher is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def file(self, path: str, size: int, there: int) -> Told:
        return lambda count: None


class Machine:
    """A folder to pull into, in this process or by the command in one of its own."""

    def __init__(self, hub: FakeHub, folder: Path):
        self.models, self.folder, self.url = folder / "models", folder, hub.url

    def pull(self, name: str, revision: str | None = None, watch: Watcher | None = None) -> Pulled:
        return pull(HuggingFaceHub(self.url), COMPONENTS[name], self.models, revision, watch or Lines())

    def refused(self, error: type[OrreryError], name: str, revision: str | None = None) -> str:
        with pytest.raises(error) as caught:
            self.pull(name, revision)
        assert type(caught.value) is error
        return caught.value.message

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command, with the environment's variables that the library reads when it is imported."""
        own = {"HF_ENDPOINT": self.url, "HF_HOME": str(self.folder / "hf"), "HOME": str(self.folder / "home")}
        command = [sys.executable, "-m", "orrery.client.cli", "models", "pull", *words, "--models-dir", self.models, "--json"]
        return subprocess.run(command, env=os.environ | own | environment, capture_output=True, text=True, check=False)


@pytest.fixture
def machine(hub: FakeHub, tmp_path: Path) -> Machine:
    return Machine(hub, tmp_path)


def test_a_model_is_pulled_with_what_its_stages_need_and_no_more(hub: FakeHub, machine: Machine) -> None:
    done = machine.run("predict2-2b", HF_TOKEN=MINE)
    assert done.returncode == 0, done.stderr
    pulled = {one["name"]: one for one in json.loads(done.stdout)["pulled"]}
    originals = {VAE: "miniature-wan-vae", TEXT: "miniature-t5", IMAGE: "miniature-text2image", WORLD: "miniature-video2world"}
    for name, original in originals.items():
        assert (
            verify(machine.models / name).fingerprint == verify(PACKAGED / original).fingerprint == pulled[name]["fingerprint"]
        )
    assert pulled[WORLD]["source"] == read_manifest(machine.models / WORLD).source == f"{WORLD_REPOSITORY}@{'f' * 40}"
    assert len(read_manifest(machine.models / WORLD).latent_rgb.factors) == 16  # type: ignore[union-attr]
    assert {path.name for path in machine.models.iterdir()} == set(originals)
    assert {path.name for path in machine.folder.iterdir()} <= {"models", "hf"}
    assert hub.gets("model.pt") == hub.gets("README.md") == hub.gets("diffusion_pytorch_model.fp16.safetensors") == []
    asked = [one for one in hub.requests if "nvidia/" in one.path]
    own, store = ({one.headers.get("authorization") for one in asked if one.host in url} for url in (hub.url, hub.store_url))
    assert (own, store) == ({f"Bearer {MINE}"}, {None})


def test_a_transformer_without_its_tokenizer_has_no_previews_and_says_why(machine: Machine) -> None:
    watch = Lines()
    machine.pull(WORLD, watch=watch)
    assert f"{WORLD}: without previews, since {VAE} is not in {machine.models}" in watch.lines
    assert read_manifest(machine.models / WORLD).latent_rgb is None


def test_a_second_pull_fetches_nothing(hub: FakeHub, machine: Machine) -> None:
    first = machine.pull(VAE)
    assert first.fetched == sum(file.size for file in read_manifest(machine.models / VAE).files.values())
    hub.requests.clear()
    assert machine.pull(VAE) == first.model_copy(update={"fetched": 0})
    assert hub.requests == []


def starts(hub: FakeHub) -> list[str | None]:
    """Where each request for the weights began, at the host where they lie."""
    return [one.headers.get("range") for one in hub.gets(WEIGHTS) if one.host in hub.store_url]


def test_a_cut_connection_is_gone_on_with(hub: FakeHub, machine: Machine) -> None:
    hub.repositories[WORLD_REPOSITORY].cuts[WEIGHTS] = [CUT]
    machine.pull(WORLD)
    assert starts(hub) == [None, f"bytes={KEPT}-"]


def test_a_pull_that_was_broken_off_goes_on_where_it_was(hub: FakeHub, machine: Machine) -> None:
    repository = hub.repositories[WORLD_REPOSITORY]
    repository.cuts[WEIGHTS] = [CUT]
    hub.failing_after_cut = True
    assert WORLD_REPOSITORY in machine.refused(HubUnreachable, WORLD)
    assert not (machine.models / WORLD).exists()
    assert installed(machine.models) == {}
    hub.failing_after_cut, hub.fails_with = False, None
    hub.requests.clear()
    assert machine.pull(WORLD).fetched == len(repository.files[WEIGHTS]) - KEPT
    assert starts(hub) == [f"bytes={KEPT}-"]
    assert hub.gets("transformer/config.json") == []
    assert verify(machine.models / WORLD).source == f"{WORLD_REPOSITORY}@{repository.commit}"


def test_a_part_of_another_revision_is_not_gone_on_with(hub: FakeHub, machine: Machine) -> None:
    repository = hub.repositories[WORLD_REPOSITORY]
    repository.cuts[WEIGHTS] = [CUT]
    hub.failing_after_cut = True
    machine.refused(HubUnreachable, WORLD)
    hub.failing_after_cut, hub.fails_with = False, None
    hub.requests.clear()
    repository.commit = "e" * 40
    repository.files[WEIGHTS] = repository.files[WEIGHTS][::-1]
    machine.pull(WORLD)
    assert starts(hub) == [None]
    assert set(read_manifest(machine.models / WORLD).files) == {"config.json", Path(WEIGHTS).name}


@pytest.mark.parametrize("name", [WEIGHTS, "transformer/config.json"])
def test_bytes_that_are_not_what_the_hub_told_are_refused_and_fetched_again(hub: FakeHub, machine: Machine, name: str) -> None:
    repository = hub.repositories[WORLD_REPOSITORY]
    repository.lies.add(name)
    assert f"{WORLD_REPOSITORY}@{repository.commit}: {name}" in machine.refused(ChecksumMismatch, WORLD)
    assert not (machine.models / WORLD).exists()
    repository.lies.clear()
    assert machine.pull(WORLD).fetched >= len(repository.files[name])
    assert verify(machine.models / WORLD)


REFUSALS: list[tuple[int, str | None, type[OrreryError], str]] = [
    (401, "GatedRepo", HubDenied, "accept its terms at {url}/{repository} and set HF_TOKEN"),
    (403, "GatedRepo", HubDenied, "accept its terms at {url}/{repository} and set HF_TOKEN"),
    (401, None, HubDenied, "a valid token (HF_TOKEN)"),
    (403, None, HubDenied, "the right to read this repository"),
    (404, "RepoNotFound", HubMissing, "has no such repository"),
    (500, None, HubUnreachable, "answered 500"),
]


@pytest.mark.parametrize(("status", "error", "kind", "advice"), REFUSALS)
def test_a_hub_that_refuses_is_quoted_with_what_to_do(
    hub: FakeHub, machine: Machine, status: int, error: str | None, kind: type[OrreryError], advice: str
) -> None:
    repository = hub.repositories[WORLD_REPOSITORY]
    repository.status, repository.error_code = status, error
    message = machine.refused(kind, WORLD)
    assert WORLD_REPOSITORY in message
    assert advice.format(url=hub.url, repository=WORLD_REPOSITORY) in message


def test_a_revision_is_pinned_or_refused(hub: FakeHub, machine: Machine) -> None:
    commit = hub.repositories[WORLD_REPOSITORY].commit
    missing = machine.refused(HubMissing, WORLD, "v9")
    assert missing == f"{WORLD_REPOSITORY} has no revision 'v9'; choose another with --revision"
    assert machine.pull(WORLD, commit).source == f"{WORLD_REPOSITORY}@{commit}"
    hub.requests.clear()
    assert [machine.pull(WORLD, same).fetched for same in (commit, commit[:7], "main")] == [0, 0, 0]
    assert hub.requests == []
    assert "remove it and pull again" in machine.refused(ComponentUnusable, WORLD, "a" * 40)


def test_a_repository_without_the_weights_says_which_are_not_there(hub: FakeHub, machine: Machine) -> None:
    del hub.repositories[WORLD_REPOSITORY].files[WEIGHTS]
    assert "transformer/diffusion_pytorch_model.safetensors or " in machine.refused(HubMissing, WORLD)


def test_weights_in_parts_are_fetched_when_there_is_no_whole(hub: FakeHub, machine: Machine) -> None:
    files = hub.repositories[WORLD_REPOSITORY].files
    del files[WEIGHTS]
    parts = {f"diffusion_pytorch_model-0000{n}-of-00002.safetensors": bytes([n]) * 3000 for n in (1, 2)}
    files |= {f"transformer/{name}": data for name, data in parts.items()}
    machine.pull(WORLD)
    assert set(read_manifest(machine.models / WORLD).files) == {"config.json", *parts}


def test_a_file_that_cannot_fit_is_not_begun(hub: FakeHub, machine: Machine) -> None:
    hub.sizes[WEIGHTS] = 4 * 10**15
    assert "needs 4000000000" in machine.refused(NoSpace, WORLD)
    assert hub.gets(WEIGHTS) == []


def test_what_is_broken_or_unfinished_is_not_overwritten(machine: Machine) -> None:
    machine.pull(VAE)
    config = machine.models / VAE / "config.json"
    config.write_text("{}")
    assert f"remove {machine.models / VAE} and pull again" in machine.refused(ComponentUnusable, VAE)
    (machine.models / VAE / MANIFEST).unlink()
    assert "orrery models add" in machine.refused(ComponentUnusable, VAE)
    assert config.read_text() == "{}"


def test_the_command_pins_components_and_tells_its_status(hub: FakeHub, machine: Machine) -> None:
    commit = hub.repositories[WORLD_REPOSITORY].commit
    done = machine.run(WORLD, VAE, "--revision", f"{WORLD}={commit}")
    assert json.loads(done.stdout)["pulled"][0]["source"] == f"{WORLD_REPOSITORY}@{commit}"
    hub.repositories[SHARED].status, hub.repositories[SHARED].error_code = 403, "GatedRepo"
    gated = machine.run(IMAGE)
    assert (gated.returncode, json.loads(gated.stdout)["error"]["code"]) == (Exit.NOT_ALLOWED, "hub_denied")
    assert f"{SHARED} is gated" in gated.stderr


def test_a_hub_that_does_not_answer_is_named(hub: FakeHub, machine: Machine) -> None:
    done = machine.run(WORLD, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == Exit.UNREACHABLE
    assert f"{WORLD_REPOSITORY}: http://127.0.0.1:9 cannot be reached" in done.stderr
    assert hub.requests == []


def test_the_command_runs_where_only_stages_are_installed(machine: Machine) -> None:
    """The image of the stages has neither an HTTP client of ours nor the gateway's packages."""
    absent = "import sys; sys.modules |= dict.fromkeys(['httpx', 'httpx_sse', 'fastapi', 'yaml'])"
    code = f"{absent}; from orrery.client.cli import main; sys.argv[1:] = ['models', 'pull', 'miniature']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=machine.folder)
    assert done.returncode == Exit.BAD_REQUEST
    assert done.stderr.startswith("orrery: no hub has miniature-t5")


def test_models_that_no_hub_has_are_told_apart_from_unknown_ones(machine: Machine) -> None:
    assert "comes with the package" in machine.refused(HubMissing, "miniature-t5")
    with pytest.raises(UnknownModel, match="predict9"):
        specs_of(["predict2-2b", "predict9"])
