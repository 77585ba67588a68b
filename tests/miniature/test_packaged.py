"""The components that every installation has."""

from __future__ import annotations

import pytest
from safetensors import safe_open

from orrery.worlds.catalog import DEFAULT_MODEL, find
from orrery.worlds.catalog.models import ModelSpec
from orrery.worlds.components import PACKAGED, installed, verify

FAMILIES = tuple(map(find, (DEFAULT_MODEL, "miniature-predict25")))


def test_they_are_those_of_the_miniatures_trained_and_whole() -> None:
    names = {name for model in FAMILIES for name in model.components}
    assert set(installed(PACKAGED)) == names
    assert not any(verify(PACKAGED / name).random_weights for name in names)


@pytest.mark.parametrize("model", FAMILIES, ids=lambda model: model.name)
def test_those_of_each_are_small(model: ModelSpec) -> None:
    files = (path for name in model.components for path in (PACKAGED / name).rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) < 25e6


def test_they_are_in_half_precision() -> None:
    for path in PACKAGED.rglob("*.safetensors"):
        with safe_open(path, "np") as file:
            assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}, path  # noqa: SIM118


def test_previews_know_their_colours() -> None:
    manifests = installed(PACKAGED)
    assert all(manifests[spec.component].latent_rgb for model in FAMILIES for spec in model.denoisers)


def test_a_model_card_says_how_they_were_trained_and_how_they_score() -> None:
    card = (PACKAGED / "README.md").read_text()
    assert "| `tokenizer_steps` | 12800 |" in card
    assert "\n| text2world |" in card
