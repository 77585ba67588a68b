"""Every released Predict2 as the catalog has it: names, sizes, lengths, rates, and the files that it comes from."""

from __future__ import annotations

import pytest

from orrery.weights.released import FILES, VARIANTS
from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import Size, Workflow
from orrery.worlds.catalog.predict2 import MODELS

WORLDS = {
    "predict2-{size}": ("720p16", 93, "model-720p-16fps.pt"),
    "predict2-{size}-720p-10fps": ("720p10", 61, "model-720p-10fps.pt"),
    "predict2-{size}-480p-16fps": ("480p16", 93, "model-480p-16fps.pt"),
    "predict2-{size}-480p-10fps": ("480p10", 61, "model-480p-10fps.pt"),
    "predict2-{size}-720p-16fps-natten": ("720p16-natten", 93, "model-720p-16fps-natten.pt"),
    "predict2-{size}-720p-10fps-natten": ("720p10-natten", 61, "model-720p-10fps-natten.pt"),
}


@pytest.mark.parametrize("size", ["2b", "14b"])
@pytest.mark.parametrize("name", WORLDS)
def test_each_resolution_and_rate_is_a_model_with_a_checkpoint_of_its_own(name: str, size: str) -> None:
    end, frames, file = WORLDS[name]
    model = find(name.format(size=size))
    spec = model.denoiser(Workflow.VIDEO2WORLD)
    assert spec.component == f"predict2-{size}-video2world-{end}"
    assert (spec.num_frames.maximum, spec.default_num_frames) == (frames, frames)
    assert spec.fps == (10,) if "p10" in end else (16,)
    assert spec.neighbourhoods == (f"predict2-{size}" if "natten" in end else None)
    wide = {"480": Size(width=768, height=432), "720": Size(width=1280, height=704)}[spec.default_resolution]
    assert spec.sizes[spec.default_resolution]["16:9"] == wide
    assert len(spec.all_sizes) == (1 if "natten" in end else 5)
    assert all(one.width % 16 == one.height % 16 == 0 for one in spec.all_sizes)
    assert FILES[spec.component] == file
    assert VARIANTS[spec.component].name == f"Predict2 {size.upper()} Video2World"


def test_images_come_in_three_sizes_each_distilled_too() -> None:
    for size in ("0.6b", "2b", "14b"):
        distilled = find(f"predict2-{size}-distilled")
        assert distilled.workflows == (Workflow.TEXT2IMAGE,)
        assert (str(distilled.num_inference_steps), distilled.guidance_scale.maximum) == ("1 to 4", 0.0)
        assert VARIANTS[distilled.denoiser(Workflow.TEXT2IMAGE).component].name == f"Predict2 {size.upper()} Text2Image"
    assert find("predict2-0.6b").workflows == (Workflow.TEXT2IMAGE,)


def test_every_released_transformer_can_be_converted() -> None:
    components = {name for model in MODELS for name in model.components if name.startswith("predict2-")}
    assert components <= set(VARIANTS)
    assert components <= set(FILES)
