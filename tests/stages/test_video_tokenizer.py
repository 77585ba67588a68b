from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from orrery.stages.framing import fit
from orrery.stages.stage import Cancelled
from orrery.stages.tokenizers import WanTokenizer
from orrery.stages.video_decoder import to_uint8
from orrery.worlds.errors import InvalidMedia
from stages.setting import VIDEO_TOKENIZER, PlainCall, Stages, clip, picture


@pytest.fixture(scope="module")
def tokenizer(models_dir: Path) -> WanTokenizer:
    return WanTokenizer(models_dir / VIDEO_TOKENIZER, torch.device("cpu"))


def video_of(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 255 * 2 - 1


def normalised(vae: object, latents: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, 16, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std))
    return (latents - mean) / std


def values_of(frames: np.ndarray, **more: int) -> dict[str, object]:
    return {"component": VIDEO_TOKENIZER, "frames": frames, "height": 96, "width": 96, **more}


def test_encoding_takes_the_mean(tokenizer: WanTokenizer, stages: Stages, call: PlainCall) -> None:
    frames = clip(5, 96, 96)
    latents = stages["video_encoder"].run(values_of(frames), call)["latents"]
    with torch.inference_mode():
        posterior = tokenizer.vae.encode(video_of(frames)).latent_dist
    assert latents.dtype == np.float32
    np.testing.assert_allclose(latents, normalised(tokenizer.vae, posterior.mode())[0], atol=1e-6)
    sampled = stages["video_encoder"].run(values_of(frames, posterior_seed=0, posterior_frames=5), call)["latents"]
    assert np.abs(sampled - latents).max() > 1e-2


@pytest.mark.parametrize("given", [1, 5])
def test_encoding_what_is_given_is_encoding_the_whole_clip(given: int, tokenizer: WanTokenizer) -> None:
    """What follows the conditioning frames in the padded clip has no part in their latents."""
    frames = clip(given, 96, 96)
    padded = np.concatenate([frames, np.repeat(frames[-1:], 17 - given, axis=0)])
    alone, among = tokenizer.encode(video_of(frames)), tokenizer.encode(video_of(padded))
    assert among.shape[2] == 5
    np.testing.assert_allclose(alone, among[:, :, : alone.shape[2]], atol=1e-6)


@pytest.mark.parametrize("given", [1, 5])
def test_the_sampled_posterior_is_the_padded_clips(
    given: int, tokenizer: WanTokenizer, stages: Stages, call: PlainCall
) -> None:
    frames = clip(given, 96, 96)
    padded = np.concatenate([frames, np.repeat(frames[-1:], 17 - given, axis=0)])
    with torch.inference_mode():
        posterior = tokenizer.vae.encode(video_of(padded)).latent_dist
        theirs = normalised(tokenizer.vae, posterior.sample(torch.Generator().manual_seed(11)))[0]
    ours = stages["video_encoder"].run(values_of(frames, posterior_seed=11, posterior_frames=17), call)["latents"]
    np.testing.assert_allclose(ours, theirs[:, : ours.shape[1]], atol=1e-6)


def test_a_clip_that_does_not_fill_its_latents_is_refused(stages: Stages, call: PlainCall) -> None:
    with pytest.raises(InvalidMedia, match="3 frames"):
        stages["video_encoder"].run(values_of(clip(3, 96, 96)), call)


@pytest.mark.parametrize("latent_frames", [1, 2, 5])
def test_decoding_in_chunks_is_decoding_at_once(latent_frames: int, tokenizer: WanTokenizer) -> None:
    latents = torch.randn(1, 16, latent_frames, 12, 22, generator=torch.Generator().manual_seed(0))
    chunks = list(tokenizer.decode_chunks(latents))
    assert [chunk.shape[1] for chunk in chunks] == [1] + [4] * (latent_frames - 1)
    config = tokenizer.vae.config
    mean, std = (torch.tensor(values).view(1, 16, 1, 1, 1) for values in (config.latents_mean, config.latents_std))
    with torch.inference_mode():
        whole = tokenizer.vae.decode(latents * std + mean).sample[0]
    assert whole.std() > 0.1
    np.testing.assert_allclose(torch.cat(chunks, dim=1), whole, atol=1e-5)


def test_decoder_yields_every_frame(tokenizer: WanTokenizer, stages: Stages, call: PlainCall) -> None:
    latents = np.random.RandomState(0).standard_normal((16, 3, 12, 22)).astype(np.float32)
    frames = stages["video_decoder"].run({"component": VIDEO_TOKENIZER, "latents": latents}, call)["frames"]
    expected = torch.cat(list(tokenizer.decode_chunks(torch.from_numpy(latents)[None])), dim=1)
    assert (frames.dtype, frames.shape) == (np.uint8, (9, 96, 176, 3))
    assert np.array_equal(frames, to_uint8(expected))


def test_decoding_can_be_cancelled(stages: Stages) -> None:
    latents = np.zeros((16, 3, 12, 12), np.float32)
    with pytest.raises(Cancelled):
        stages["video_decoder"].run({"component": VIDEO_TOKENIZER, "latents": latents}, PlainCall(stages, steps_allowed=0))


def test_pixels_are_cut_to_eight_bits() -> None:
    pixels = torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0, 3.0]).reshape(1, 6, 1, 1).expand(3, 6, 1, 1)
    assert to_uint8(pixels)[:, 0, 0, 0].tolist() == [0, 0, 127, 254, 255, 255]


def channels_first(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def test_frames_of_the_right_size_are_not_touched() -> None:
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert torch.equal(fit(channels_first(frames), 16, 16), channels_first(frames))


def resized_by_pillow(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(plane.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(("height", "width"), [(301, 403), (400, 200), (97, 177), (50, 60)])
def test_other_sizes_cover_the_target_and_lose_their_edges(height: int, width: int) -> None:
    """Pillow's floating-point bilinear filter is the same triangle, computed by someone else."""
    frame = picture(height, width)
    scale = max(176 / width, 96 / height)
    tall, wide = int(np.ceil(height * scale)), int(np.ceil(width * scale))
    expected = np.stack([resized_by_pillow(frame[..., channel], tall, wide) for channel in range(3)], axis=-1)
    top, left = round((tall - 96) / 2), round((wide - 176) / 2)
    expected = expected[top : top + 96, left : left + 176]
    ours = fit(channels_first(frame[None]), 96, 176)[0].permute(1, 2, 0).numpy()
    assert ours.shape == (96, 176, 3)
    difference = expected - ours  # cutting leaves between 0 and 1
    assert difference.min() > -0.05
    assert difference.max() < 1.05
