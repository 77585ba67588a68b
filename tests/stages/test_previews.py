"""Pictures of what a denoiser has so far: that they are like it, come in time and change nothing."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from orrery.stages.colours import fit_latent_rgb
from orrery.stages.denoiser import Denoiser
from orrery.stages.previews import Previews, picture_of
from orrery.stages.samplers import SAMPLERS
from orrery.stages.stage import StageSettings
from orrery.stages.tokenizers import WanTokenizer
from orrery.worlds.components import ComponentKind, LatentRgb, read_manifest, write_manifest
from stages.samplers import still
from stages.setting import IMAGE, TEXT_ENCODER, VIDEO_TOKENIZER, WORLD, PlainCall, Stages

STEPS = 4
PLAIN = LatentRgb(factors=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), *([(0.0, 0.0, 0.0)] * 14)), bias=(0.0, 0.0, 1.0))


def mean(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).mean(axis=(0, 1))


@pytest.fixture(scope="module")
def values(stages: Stages) -> dict[str, Any]:
    text = stages["text_encoder"].run({"component": TEXT_ENCODER, "prompt": "A robot arm"}, PlainCall(stages))
    small = {"latent_shape": np.array([3, 12, 22], np.int32), "seed": 3, "num_inference_steps": STEPS, "guidance_scale": 4.0}
    return {"component": IMAGE, "text_embeddings": text["text_embeddings"]} | small


def denoised(settings: StageSettings, values: dict[str, Any], **changed: Any) -> tuple[bytes, PlainCall]:
    """One second goes by between two looks at the clock."""
    seconds = iter(range(1000))
    call = PlainCall({})
    latents = Denoiser(settings, clock=lambda: float(next(seconds))).run(values | changed, call)["latents"]
    return latents.tobytes(), call


def test_the_middle_frame_is_shown_in_the_colours_of_the_map() -> None:
    estimate = torch.zeros((1, 16, 3, 12, 22), dtype=torch.float64)
    estimate[0, 0, 1] = 0.5
    estimate[0, 1, 1] = 7.0
    picture = picture_of(estimate, PLAIN)
    assert picture.size == (256, 140)
    assert mean(picture).tolist() == [127, 255, 255]
    assert mean(picture_of(estimate[:, :, :1], PLAIN)).tolist() == [0, 0, 255]


def test_what_is_large_already_is_not_enlarged() -> None:
    assert picture_of(torch.zeros((1, 16, 1, 160, 300)), PLAIN).size == (300, 160)


def test_an_encoded_colour_is_seen_again(models_dir: Path) -> None:
    """As far as a tokenizer of random weights keeps colours at all: red is the reddest of the three, blue the bluest."""
    rgb = read_manifest(models_dir / WORLD).latent_rgb
    assert rgb is not None
    tokenizer = WanTokenizer(models_dir / VIDEO_TOKENIZER, torch.device("cpu"))

    def seen(*colour: float) -> np.ndarray:
        film = torch.tensor(colour).view(1, 3, 1, 1, 1).expand(1, 3, 1, 96, 96)
        found = mean(picture_of(tokenizer.encode(2 * film - 1), rgb))
        return found - found.mean()

    red, green, blue = seen(0.9, 0.1, 0.1), seen(0.1, 0.9, 0.1), seen(0.1, 0.1, 0.9)
    assert red[0] == max(red)
    assert blue[2] == max(blue)
    assert red[0] > green[0] > blue[0]
    assert blue[2] > max(red[2], green[2])


def test_the_map_is_the_same_every_time(models_dir: Path) -> None:
    again = fit_latent_rgb(models_dir / VIDEO_TOKENIZER)
    assert {read_manifest(models_dir / name).latent_rgb for name in (IMAGE, WORLD)} == {again}
    assert (len(again.factors), read_manifest(models_dir / VIDEO_TOKENIZER).latent_rgb) == (16, None)


def test_the_map_is_no_part_of_what_a_component_is(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1")
    plain = write_manifest(tmp_path, ComponentKind.TRANSFORMER)
    shown = write_manifest(tmp_path, ComponentKind.TRANSFORMER, latent_rgb=PLAIN)
    assert read_manifest(tmp_path).latent_rgb == PLAIN
    assert plain.fingerprint == shown.fingerprint


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_they_come_in_time_and_change_nothing(sampler: str, values: dict[str, Any], settings: StageSettings) -> None:
    asked = {"sampler": sampler, "component": still(sampler)}
    plain, without = denoised(settings, values, **asked)
    shown, call = denoised(settings, values, **asked, preview_every_seconds=2.0)
    assert shown == plain
    assert not any("preview" in report for report in without.reports)
    sizes = {report["step"]: report["preview_size"].tolist() for report in call.reports if "preview" in report}
    assert sizes == {2: [256, 140], 4: [256, 140]}
    for report in call.reports[1::2]:
        picture = Image.open(BytesIO(report["preview"].tobytes()))
        assert (picture.format, list(picture.size), report["preview"].dtype) == ("JPEG", sizes[report["step"]], np.uint8)


def test_without_a_map_there_are_none() -> None:
    seconds = iter(range(100))
    previews = Previews(None, seconds=0.5, clock=lambda: float(next(seconds)))
    assert previews.of(1, torch.zeros((1, 16, 1, 4, 4))) == {}
