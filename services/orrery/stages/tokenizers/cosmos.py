"""The video tokenizer of Predict1: causal, 8 x 8 x 8, 16 channels (CV8x8x8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKLCosmos

from orrery.engines.weights import load_module
from orrery.worlds.catalog.models import Compression
from orrery.worlds.errors import ComponentUnusable, InvalidField


class CosmosTokenizer:
    """`AutoencoderKLCosmos` with its latents normalised: (mu - mean) / std, per channel and latent frame of a clip.

    The configuration's `latents_mean` and `latents_std` are tables [channels x frames]: no clip may be longer.
    """

    white = 256

    def __init__(self, folder: Path, device: torch.device):
        self.vae = load_module(AutoencoderKLCosmos, folder, device)
        config = self.vae.config
        if config.latents_mean is None or config.latents_std is None:
            raise ComponentUnusable(f"{folder}: config.json has no latents_mean and latents_std")
        self.compression = Compression(
            temporal=config.temporal_compression_ratio,
            spatial=config.spatial_compression_ratio,
            channels=config.latent_channels,
        )
        table = (1, config.latent_channels, -1, 1, 1)
        self._mean = torch.tensor(config.latents_mean, device=device).view(table)
        self._std = torch.tensor(config.latents_std, device=device).view(table)

    @torch.inference_mode()
    def encode(self, video: torch.Tensor) -> torch.Tensor:
        """See `VideoTokenizer`. The network gives no deviation: its answer is the mean."""
        latents = self.vae.encode(video.to(self.vae.dtype)).latent_dist.mode().float()
        mean, std = self._statistics(latents)
        normalised: torch.Tensor = (latents - mean) / std
        return normalised

    def encode_sampled(self, video: torch.Tensor, *, seed: int, num_frames: int) -> torch.Tensor:  # noqa: ARG002
        """See `VideoTokenizer`. There is nothing to sample."""
        return self.encode(video)

    @torch.inference_mode()
    def decode_chunks(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """See `VideoTokenizer`. All in one part: the network keeps nothing from frame to frame that it could go on from."""
        mean, std = self._statistics(latents)
        pixels: torch.Tensor = self.vae.decode((latents * std + mean).to(self.vae.dtype)).sample
        yield pixels[0].float().clamp(-1, 1)

    def _statistics(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of the first frames of a clip, as many as `latents` has. Raises `InvalidField` if it has more."""
        given, known = latents.shape[2], self._mean.shape[2]
        if given > known:
            raise InvalidField(f"{given} latent frames are too many", field="latents", allowed=f"1 to {known}")
        return self._mean[:, :, :given], self._std[:, :, :given]
