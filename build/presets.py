"""Writes the presets of docker-compose.gpu.yml, one for each card: the models that fit it.

    python build/presets.py FOLDER

`services/presets/cards.toml` has what is known of cards and models.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from orrery.worlds.catalog import find

CARDS = Path(__file__).resolve().parent.parent / "services" / "presets" / "cards.toml"


def needed(models: Sequence[Mapping[str, float]]) -> float:
    """GB that a card takes at most which serves these models: the largest pipeline, beside the transformers that rest."""
    largest = max(model["pipeline_gb"] - model["transformer_gb"] for model in models)
    return largest + 2 * sum(model["transformer_gb"] for model in models)


def fitting(models: Mapping[str, Mapping[str, float]], room: float) -> tuple[str, ...]:
    """As many models as fit, the largest last; of as many, the largest. Empty if not one fits."""
    ranked = sorted(models, key=lambda name: models[name]["pipeline_gb"])
    choices = [choice for size in range(len(ranked), 0, -1) for choice in reversed(list(combinations(ranked, size)))]
    return next((choice for choice in choices if needed([models[name] for name in choice]) <= room), ())


def preset(card: Mapping[str, Any], served: Sequence[str]) -> str:
    """The variables of docker-compose.gpu.yml."""
    components = dict.fromkeys(component for name in served for component in find(name).components)
    return "\n".join(
        (
            f"# {card['name']}, {card['gb']} GB. Written by `make presets` from cards.toml; nobody has run it on such a card.",
            f"ORRERY_MODELS={','.join(served)}",
            f"ORRERY_DEFAULT_MODEL={served[-1]}",
            f"ORRERY_COMPONENTS={','.join(components)}",
            "",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the presets of docker-compose.gpu.yml.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    known = tomllib.loads(CARDS.read_text())
    for name, card in known["cards"].items():
        served = fitting(known["models"], known["usable"] * card["gb"])
        (folder / f"{name}.env").write_text(preset(card, served))


if __name__ == "__main__":
    main()
