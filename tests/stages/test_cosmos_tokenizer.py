"""The video tokenizer of Predict1, and that a component's configuration says which tokenizer it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCosmos

from orrery.stages.colours import fit_latent_rgb
from orrery.stages.tokenizers import CosmosTokenizer, WanTokenizer, load_tokenizer
from orrery.stages.video_decoder import to_uint8
from orrery.worlds.catalog.models import Compression
from orrery.worlds.components import read_manifest
from orrery.worlds.errors import ComponentUnusable, InvalidField, InvalidMedia
from stages.setting import VIDEO_TOKENIZER, PlainCall, Stages, clip

COSMOS = "tiny-cosmos-vae"
CPU = torch.device("cpu")
FRAMES = 17


@pytest.fixture(scope="module")
def tokenizer(models_dir: Path) -> CosmosTokenizer:
    return CosmosTokenizer(models_dir / COSMOS, CPU)


def video_of(frames: np.ndarray, white: int = 255) -> torch.Tensor:
    return torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / white * 2 - 1


def statistics(tokenizer: CosmosTokenizer, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As the pipelines read them: a table of channels by latent frames."""
    config = tokenizer.vae.config
    mean, std = (
        torch.tensor(values).view(1, 16, -1, 1, 1)[:, :, :frames] for values in (config.latents_mean, config.latents_std)
    )
    return mean, std


def encoded(stages: Stages, frames: np.ndarray, **more: Any) -> np.ndarray:
    values = {"component": COSMOS, "frames": frames, "height": 96, "width": 96} | more
    return stages["video_encoder"].run(values, PlainCall(stages))["latents"]


def test_latents_are_normalised_by_channel_and_latent_frame(tokenizer: CosmosTokenizer, stages: Stages) -> None:
    frames = clip(9, 96, 96)
    mean, std = statistics(tokenizer, 2)
    assert not torch.equal(mean[:, :, 0], mean[:, :, 1])
    for white, more in ((256, {}), (255, {"posterior_seed": 3, "posterior_frames": FRAMES})):
        with torch.inference_mode():
            theirs = (tokenizer.vae.encode(video_of(frames, white)).latent_dist.mode() - mean) / std
        assert np.array_equal(encoded(stages, frames, **more), theirs[0].numpy()), white


@pytest.mark.parametrize("given", [1, 9])
def test_encoding_what_is_given_is_encoding_the_whole_clip(given: int, tokenizer: CosmosTokenizer) -> None:
    """The pipeline and the official script fill the clip up with zeros and encode it whole."""
    video = video_of(clip(given, 96, 96))
    padded = torch.cat([video, torch.zeros(1, 3, FRAMES - given, 96, 96)], dim=2)
    alone, among = tokenizer.encode(video), tokenizer.encode(padded)
    assert (alone.shape[2], among.shape[2]) == ((given - 1) // 8 + 1, 3)
    np.testing.assert_allclose(alone, among[:, :, : alone.shape[2]], atol=1e-5)


def test_frames_come_back(tokenizer: CosmosTokenizer, stages: Stages) -> None:
    latents = np.random.RandomState(0).standard_normal((16, 3, 12, 22)).astype(np.float32)
    frames = stages["video_decoder"].run({"component": COSMOS, "latents": latents}, PlainCall(stages))["frames"]
    assert (frames.dtype, frames.shape) == (np.uint8, (FRAMES, 96, 176, 3))
    mean, std = statistics(tokenizer, 3)
    with torch.inference_mode():
        theirs = tokenizer.vae.decode(torch.from_numpy(latents)[None] * std + mean).sample[0]
    assert np.array_equal(frames, to_uint8(theirs))
    assert frames.std() > 20


def test_a_clip_longer_than_the_table_is_refused(tokenizer: CosmosTokenizer) -> None:
    with pytest.raises(InvalidField, match="17 latent frames") as refusal:
        list(tokenizer.decode_chunks(torch.zeros(1, 16, 17, 2, 2)))
    assert refusal.value.allowed == "1 to 16"


def test_a_clip_that_does_not_fill_its_latents_is_refused(stages: Stages) -> None:
    with pytest.raises(InvalidMedia, match="5 frames"):
        encoded(stages, clip(5, 96, 96))


def test_the_configuration_says_which_tokenizer_it_is(models_dir: Path) -> None:
    expected = {COSMOS: (CosmosTokenizer, 8), VIDEO_TOKENIZER: (WanTokenizer, 4)}
    for name, (kind, temporal) in expected.items():
        loaded = load_tokenizer(models_dir / name, CPU)
        assert type(loaded) is kind
        assert loaded.compression == Compression(temporal=temporal, spatial=8, channels=16)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"_class_name": "AutoencoderKL"}, "no video tokenizer 'AutoencoderKL'"), ({"latents_mean": None}, "no latents_mean")],
)
def test_what_is_no_tokenizer_is_refused(change: dict[str, Any], reason: str, models_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / COSMOS
    shutil.copytree(models_dir / COSMOS, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ComponentUnusable, match=reason):
        load_tokenizer(folder, CPU)
    (folder / "config.json").unlink()
    with pytest.raises(ComponentUnusable, match=r"no usable config\.json"):
        load_tokenizer(folder, CPU)


def test_its_transformers_show_their_latents(models_dir: Path) -> None:
    fitted = fit_latent_rgb(models_dir / COSMOS)
    assert np.abs(np.array(fitted.factors)).max() > 0.01
    assert read_manifest(models_dir / "tiny-predict1-text2world").latent_rgb == fitted


def test_the_released_tokenizer_has_its_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = AutoencoderKLCosmos()
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(105.7, abs=0.05)
    assert len(network.config.latents_mean) == len(network.config.latents_std) == 16 * 16
