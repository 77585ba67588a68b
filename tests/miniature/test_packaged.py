"""The components that every installation has."""

from __future__ import annotations

from safetensors import safe_open

from orrery.worlds.catalog import DEFAULT_MODEL, find
from orrery.worlds.components import PACKAGED, installed, verify

MODEL = find(DEFAULT_MODEL)


def test_they_are_those_of_the_default_model_trained_and_whole() -> None:
    assert set(installed(PACKAGED)) == set(MODEL.components)
    assert not any(verify(PACKAGED / name).random_weights for name in MODEL.components)


def test_they_are_small_and_in_half_precision() -> None:
    assert sum(path.stat().st_size for path in PACKAGED.rglob("*") if path.is_file()) < 25e6
    for path in PACKAGED.rglob("*.safetensors"):
        with safe_open(path, "np") as file:
            assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}, path  # noqa: SIM118


def test_previews_know_their_colours() -> None:
    manifests = installed(PACKAGED)
    assert all(manifests[spec.component].latent_rgb for spec in (MODEL.image, MODEL.world) if spec)


def test_a_model_card_says_how_they_were_trained_and_how_they_score() -> None:
    card = (PACKAGED / "README.md").read_text()
    assert "| `tokenizer_steps` | 12800 |" in card
    assert "\n| text2world |" in card
