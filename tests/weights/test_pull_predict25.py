"""Where the hub has Predict2.5: a revision of its own in diffusers' layout, and released files in folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from orrery.stages.texts import Projection, Qwen
from orrery.weights.errors import HubMissing
from orrery.weights.hub import HubFile, HuggingFaceHub, Listing
from orrery.weights.pulling import pull, released_file
from orrery.weights.released import VARIANTS, released_as
from orrery.worlds.catalog.components import COMPONENTS
from orrery.worlds.components import verify
from weights.hub import FakeHub, Repository, hub_of
from weights.test_pull import Lines, under

REVISION = "diffusers/base/post-trained"


@pytest.fixture
def hub(models_dir: Path) -> Iterator[FakeHub]:
    """The tiny Predict2.5 as the pipeline of diffusers is saved."""
    text = under("text_encoder", models_dir / "tiny-qwen")
    files = {name.replace("text_encoder/tokenizer/", "tokenizer/"): data for name, data in text.items()}
    files |= under("transformer", models_dir / "tiny-predict25-base") | under("vae", models_dir / "tiny-wan-vae")
    with hub_of() as hub:
        hub.repositories = {"nvidia/Cosmos-Predict2.5-2B": Repository(files, revision=REVISION)}
        yield hub


def test_text_encoder_and_transformer_come_from_their_revision_and_load(hub: FakeHub, tmp_path: Path) -> None:
    for name in ("cosmos-reason1-7b", "predict2.5-2b-base"):
        pull(HuggingFaceHub(hub.url), COMPONENTS[name], tmp_path, revision=None, watch=Lines())
        verify(tmp_path / name)
    states = Qwen(tmp_path / "cosmos-reason1-7b", torch.device("cpu")).encode("a red ball")
    assert Projection(tmp_path / "predict2.5-2b-base", torch.device("cpu"))(states).shape == (512, 32)


NAMES = {
    "predict2.5-2b-base-pretrained": ("base/pre-trained/d20b7120-df3e-4911-919d-db6e08bad31c_ema_bf16.pt", "2B"),
    "predict2.5-2b-base-distilled": ("base/distilled/575edf0f-d973-4c74-b52c-69929a08d0a5_ema_bf16.pt", "2B"),
    "predict2.5-14b-base": ("base/post-trained/e21d2a49-4747-44c8-ba44-9f6f9243715f_ema_bf16.pt", "14B"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_released_file_is_found_in_its_folder(name: str) -> None:
    path, size = NAMES[name]
    source = COMPONENTS[name].source
    assert source is not None
    assert source.released is not None
    assert source.repository == f"nvidia/Cosmos-Predict2.5-{size}"
    others = [other for other, _ in NAMES.values() if other != path] + [f"old/{path}", Path(path).name]
    files = tuple(HubFile(path=one, size=1, sha256="0" * 64, git_blob=None) for one in (path, *others))
    listing = Listing(repository=source.repository, commit="0" * 40, files=files)
    assert released_file(listing, source.released).path == path
    assert released_as(Path(path).name, VARIANTS[name], VARIANTS) == name
    with pytest.raises(HubMissing, match="has 0 files"):
        released_file(Listing(repository=source.repository, commit="0" * 40, files=files[1:]), source.released)
