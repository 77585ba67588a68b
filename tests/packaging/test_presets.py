"""The presets for cards are what cards.toml gives, and what they serve fits the card."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from orrery.worlds.catalog import CATALOG, find

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "services" / "presets"
KNOWN = tomllib.loads((FOLDER / "cards.toml").read_text())


def read(path: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in lines}


def test_the_committed_presets_are_those_that_are_written(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "build" / "presets.py"), str(tmp_path)], check=True)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text() for path in FOLDER.glob("*.env")}, "make presets"
    assert set(written) == {f"{card}.env" for card in KNOWN["cards"]}


@pytest.mark.parametrize("card", KNOWN["cards"])
def test_what_a_card_serves_fits_it(card: str) -> None:
    served = read(FOLDER / f"{card}.env")["ORRERY_MODELS"].split(",")
    room = KNOWN["usable"] * KNOWN["cards"][card]["gb"]
    weights = sum(2 * KNOWN["models"][name]["transformer_gb"] for name in served)
    for name in served:
        model = KNOWN["models"][name]
        assert model["pipeline_gb"] <= room
        assert model["pipeline_gb"] - model["transformer_gb"] + weights <= room


@pytest.mark.parametrize("card", KNOWN["cards"])
def test_a_preset_names_models_and_all_their_components(card: str) -> None:
    preset = read(FOLDER / f"{card}.env")
    served = preset["ORRERY_MODELS"].split(",")
    assert set(served) <= set(CATALOG)
    assert preset["ORRERY_DEFAULT_MODEL"] in served
    assert set(preset["ORRERY_COMPONENTS"].split(",")) == {part for name in served for part in find(name).components}


def test_the_published_columns_are_kept_in_order() -> None:
    """A card with more memory serves at least as large a model."""
    cards = sorted(KNOWN["cards"], key=lambda card: KNOWN["cards"][card]["gb"])
    largest = [
        max(KNOWN["models"][name]["pipeline_gb"] for name in read(FOLDER / f"{card}.env")["ORRERY_MODELS"].split(","))
        for card in cards
    ]
    assert largest == sorted(largest)
