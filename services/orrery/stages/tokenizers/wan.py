"""The Wan2.1 video tokenizer: causal, 4 x 8 x 8, 16 channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

from orrery.engines.weights import load_module
from orrery.worlds.catalog.models import Compression


class WanTokenizer:
    """`AutoencoderKLWan` with its latents normalised: (mu - mean) / std, per channel."""

    white = 255

    def __init__(self, folder: Path, device: torch.device):
        self.vae = load_module(AutoencoderKLWan, folder, device)
        config = self.vae.config
        self.compression = Compression(
            temporal=config.scale_factor_temporal, spatial=config.scale_factor_spatial, channels=config.z_dim
        )
        self._device = device
        self._mean = torch.tensor(config.latents_mean, device=device).view(1, -1, 1, 1, 1)
        self._std = torch.tensor(config.latents_std, device=device).view(1, -1, 1, 1, 1)
        self._num_caches = sum(isinstance(module, WanCausalConv3d) for module in self.vae.decoder.modules())

    @torch.inference_mode()
    def encode(self, video: torch.Tensor) -> torch.Tensor:
        """See `VideoTokenizer`."""
        return self._normalise(self._posterior(video).mean.float())

    @torch.inference_mode()
    def encode_sampled(self, video: torch.Tensor, *, seed: int, num_frames: int) -> torch.Tensor:
        """The posterior sampled as diffusers' `Cosmos2VideoToWorldPipeline` does with a CPU generator of this seed.

        The pipeline encodes the clip continued to `num_frames` by its last frame. The tokenizer is causal, so the first
        latents do not depend on what follows: only the noise has to be drawn for the whole clip.
        """
        posterior = self._posterior(video)
        channels, given, *size = posterior.mean.shape[1:]
        drawn = max(given, (num_frames - 1) // self.compression.temporal + 1)
        noise = torch.randn(
            (1, channels, drawn, *size), generator=torch.Generator().manual_seed(seed), dtype=posterior.mean.dtype
        )
        sample = posterior.mean + posterior.std * noise[:, :, :given].to(self._device)
        return self._normalise(sample.float())

    @torch.inference_mode()
    def decode_chunks(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """See `VideoTokenizer`: each latent frame in turn, one frame of pixels for the first, then four.

        The caches of the causal convolutions hold all that a chunk needs of those before it, so memory does not grow with
        the clip.
        """
        caches: list[Any] = [None] * self._num_caches
        for index in range(latents.shape[2]):
            latent = latents[:, :, index : index + 1]
            z = self.vae.post_quant_conv((latent * self._std + self._mean).to(self.vae.dtype))
            pixels: torch.Tensor = self.vae.decoder(z, feat_cache=caches, feat_idx=[0])
            yield pixels[0].float().clamp(-1, 1)

    def _posterior(self, video: torch.Tensor) -> Any:
        return self.vae.encode(video.to(self.vae.dtype)).latent_dist

    def _normalise(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents - self._mean) / self._std
