"""Clips from the trained networks, many at a time, with the samplers and the prediction that Orrery serves with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from miniature.denoisers import Denoisers
from miniature.latents import Latents
from miniature.networks import text_tokenizer
from orrery.engines.eager import with_padding
from orrery.miniature.vocabulary import FRAMES, SIDE
from orrery.stages.denoiser import official_noise
from orrery.stages.predictions import RectifiedFlow
from orrery.stages.samplers import make_sampler


@dataclass(frozen=True)
class Choice:
    """How to sample."""

    sampler: str = "res_2ab"
    steps: int = 35
    image_guidance: float = 1.0
    world_guidance: float = 1.0


class Batched:
    """A transformer as an `Engine` for several clips at once: the noise level of one is that of all."""

    def __init__(self, module: Any):
        self._module = module

    def __call__(self, hidden_states: Any, timestep: Any, text: Any, mask: Any, rope_fps: Any) -> torch.Tensor:
        sample: torch.Tensor = self._module(
            hidden_states=hidden_states,
            timestep=timestep.expand(len(hidden_states), *timestep.shape[1:]),
            encoder_hidden_states=text,
            condition_mask=with_padding(mask, hidden_states),
            fps=rope_fps,
            return_dict=False,
        )[0]
        return sample


class Studio:
    """All four networks together."""

    def __init__(self, vae: Any, networks: Denoisers, mean: torch.Tensor, std: torch.Tensor):
        self.vae, self.networks = vae, networks
        self._mean, self._std = mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)
        self._device = mean.device
        self._tokenizer = text_tokenizer()

    @classmethod
    def of(cls, vae: Any, networks: Denoisers, latents: Latents) -> Studio:
        return cls(vae, networks, latents.mean, latents.std)

    @torch.no_grad()
    def images(self, prompts: list[str], seeds: list[int], choice: Choice) -> np.ndarray:
        """uint8 [n, 1, 96, 96, 3]."""
        return self._pixels(self._sample(self.networks.image, prompts, seeds, choice, choice.image_guidance, 1, None))

    @torch.no_grad()
    def worlds(self, prompts: list[str], first: np.ndarray, seeds: list[int], choice: Choice) -> np.ndarray:
        """uint8 [n, 33, 96, 96, 3] that begin with the frames `first`, uint8 [n, 1 or 5, 96, 96, 3]."""
        given = self._latents(first)
        frames = (FRAMES - 1) // 4 + 1
        return self._pixels(self._sample(self.networks.world, prompts, seeds, choice, choice.world_guidance, frames, given))

    @torch.no_grad()
    def reconstructed(self, clips: np.ndarray) -> np.ndarray:
        """What is left of uint8 clips [n, T, 96, 96, 3] after the tokenizer."""
        return self._pixels(self._latents(clips))

    def _latents(self, pixels: np.ndarray) -> torch.Tensor:
        video = torch.from_numpy(pixels).to(self._device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return (self.vae.encode(video).latent_dist.mean.float() - self._mean) / self._std

    def _sample(
        self, module: Any, prompts: list[str], seeds: list[int], choice: Choice, guidance: float, frames: int, given: Any
    ) -> torch.Tensor:
        sampler = make_sampler(choice.sampler, choice.steps)
        shape = (1, 16, frames, SIDE // 8, SIDE // 8)
        noise = torch.cat([official_noise(seed, shape) for seed in seeds]).to(self._device)
        predict = RectifiedFlow(
            engine=Batched(module),
            text=self._embed(prompts),
            negative_text=self._embed([""] * len(prompts)) if guidance > 0 else None,
            guidance_scale=guidance,
            condition=given,
            rope_fps=None,
            check_cancelled=lambda: None,
            noise=noise,
        )
        state = sampler.start(noise)
        while state.step < sampler.num_steps:
            state = sampler.advance(state, predict)
        return state.latents.float()

    def _embed(self, prompts: list[str]) -> torch.Tensor:
        tokens = self._tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").to(self._device)
        return self.networks.embed(tokens.input_ids, tokens.attention_mask)

    def _pixels(self, latents: torch.Tensor) -> np.ndarray:
        decoded = self.vae.decode(latents * self._std + self._mean).sample.clamp(-1, 1)
        pixels = ((decoded + 1) * 127.5).round().to(torch.uint8)
        return np.ascontiguousarray(pixels.permute(0, 2, 3, 4, 1).cpu().numpy())
