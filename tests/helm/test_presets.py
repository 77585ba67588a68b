"""A preset serves what fits its card, by the memory that was published for each model."""

from __future__ import annotations

import tomllib

import pytest

from helm.chart import GPU_PRESETS, PRESETS, ROOT, preset
from orrery.worlds.catalog import find
from orrery.worlds.components import SERVED_BY, ComponentKind

KNOWN = tomllib.loads((ROOT / "services" / "presets" / "cards.toml").read_text())
"""What compose's presets are made of too."""
CARDS = {
    "gpu-l40s": "l40s",
    "gpu-h100": "h100-sxm",
    "gpu-h200": "h200-sxm",
    "gpu-b200": "b200",
    "gpu-rtx-pro-6000": "rtx-pro-6000",
}
CARD_GB = {preset: KNOWN["cards"][card]["gb"] for preset, card in CARDS.items()}
WHOLE_PIPELINE_GB = {name: model["pipeline_gb"] for name, model in KNOWN["models"].items()}
TRANSFORMER_GB = {name: model["transformer_gb"] for name, model in KNOWN["models"].items()}
USABLE = KNOWN["usable"]


def needed(models: list[str]) -> float:
    """What a denoiser of these models takes at most: the largest pipeline, beside the transformers that rest meanwhile."""
    resident = 2 * sum(TRANSFORMER_GB[model] for model in models)
    return max(WHOLE_PIPELINE_GB[model] - TRANSFORMER_GB[model] for model in models) + resident


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_what_is_served_fits_and_nothing_more_would(name: str) -> None:
    served = preset(name)["models"]["served"]
    room = USABLE * CARD_GB[name]
    assert needed(served) <= room
    fitting = [
        models for models in (["predict2-2b", "predict2-14b"], ["predict2-14b"], ["predict2-2b"]) if needed(models) <= room
    ]
    assert served == fitting[0]


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_the_cache_holds_what_the_served_models_are_made_of(name: str) -> None:
    values = preset(name)
    wanted = {component for model in values["models"]["served"] for component in find(model).components}
    assert set(values["modelCache"]["components"]) == wanted
    kinds = {kind.value for kind, stages in SERVED_BY.items() if stages}
    assert set(values["modelCache"]["components"].values()) == kinds
    hosted = {host for stage in values["stages"].values() for host in stage.get("hosts", ["denoiser"])}
    assert {serving for kind in ComponentKind for serving in SERVED_BY[kind]} - {"transformer"} == hosted
    assert values["models"]["default"] in values["models"]["served"]


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_a_card_that_is_taken_is_not_waited_for(name: str) -> None:
    on_cards = [stage for stage in preset(name)["stages"].values() if "gpu" in stage]
    assert [stage["rollout"] for stage in on_cards] == [{"maxSurge": 0, "maxUnavailable": 1}] * 2


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_a_preset_says_that_nobody_ran_it(name: str) -> None:
    assert "never run" in PRESETS[name].read_text()


@pytest.mark.parametrize("name", GPU_PRESETS)
def test_the_page_says_of_each_preset_what_it_serves(name: str) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{PRESETS[name].name}` |")]
    _, _, card, serves, _ = row.split("|")
    assert f"{CARD_GB[name]} GB" in card
    assert serves.replace("`", "").strip().split(", ") == preset(name)["models"]["served"]
