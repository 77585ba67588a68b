"""Clips from the trained networks, many at a time, with the samplers and the predictions that Orrery serves with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from miniature.denoisers import Denoisers
from miniature.latents import Latents
from miniature.networks import LATENT_CHANNELS, text_tokenizer
from orrery.engines.eager import with_padding
from orrery.miniature.vocabulary import FRAMES, SIDE
from orrery.stages.denoiser import official_noise
from orrery.stages.predictions import PREDICTIONS
from orrery.stages.samplers import make_sampler
from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import Workflow

PAIR = find("miniature")


@dataclass(frozen=True)
class Choice:
    """How to sample."""

    sampler: str = "res_2ab"
    steps: int = 35
    image_guidance: float = PAIR.denoiser(Workflow.TEXT2IMAGE).default_guidance_scale
    world_guidance: float = PAIR.denoiser(Workflow.TEXT2WORLD).default_guidance_scale


class Studio(Protocol):
    """All networks of a model together. Clips are uint8 [n, 33, 96, 96, 3]."""

    def reconstructed(self, clips: np.ndarray) -> np.ndarray:
        """What the tokenizer leaves of clips."""
        ...

    def text2world(self, prompts: list[str], seeds: list[int], choice: Choice) -> np.ndarray: ...

    def image2world(self, prompts: list[str], first: np.ndarray, seeds: list[int], choice: Choice) -> np.ndarray:
        """`first` are frames, uint8 [n, 1 or 5, 96, 96, 3]."""
        ...


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


class Pictures:
    """Between pixels and normalised latents, by a video tokenizer and the moments of its latents."""

    def __init__(self, vae: Any, mean: torch.Tensor, std: torch.Tensor):
        self._vae = vae
        self._mean, self._std = mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)
        self.device = mean.device

    def latents(self, pixels: np.ndarray) -> torch.Tensor:
        video = torch.from_numpy(pixels).to(self.device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        return (self._vae.encode(video).latent_dist.mean.float() - self._mean) / self._std

    def pixels(self, latents: torch.Tensor) -> np.ndarray:
        decoded = self._vae.decode(latents * self._std + self._mean).sample.clamp(-1, 1)
        pixels = ((decoded + 1) * 127.5).round().to(torch.uint8)
        return np.ascontiguousarray(pixels.permute(0, 2, 3, 4, 1).cpu().numpy())


@dataclass(frozen=True)
class Asked:
    """Embeddings [n, tokens, width] of prompts and of what is to be kept away from, guidance, and a seed for each."""

    text: torch.Tensor
    negative_text: torch.Tensor
    guidance: float
    seeds: list[int]


def sample(module: Any, asked: Asked, choice: Choice, frames: int, given: torch.Tensor | None, **told: Any) -> torch.Tensor:
    """Latents [n, 16, frames, 12, 12]; `given` are the first of them. `told` is for the prediction."""
    sampler = make_sampler(choice.sampler, choice.steps)
    shape = (1, LATENT_CHANNELS, frames, SIDE // 8, SIDE // 8)
    noise = torch.cat([official_noise(seed, shape) for seed in asked.seeds]).to(asked.text.device)
    predict = PREDICTIONS[choice.sampler](
        engine=Batched(module),
        text=asked.text,
        negative_text=asked.negative_text if asked.guidance > 0 else None,
        guidance_scale=asked.guidance,
        condition=given,
        rope_fps=None,
        check_cancelled=lambda: None,
        noise=noise,
        **told,
    )
    state = sampler.start(noise)
    while state.step < sampler.num_steps:
        state = sampler.advance(state, predict)
    return state.latents.float()


class PairStudio:
    """Predict2's form: an image first, then a world from it."""

    def __init__(self, vae: Any, networks: Denoisers, mean: torch.Tensor, std: torch.Tensor):
        self._networks, self._pictures = networks, Pictures(vae, mean, std)
        self._tokenizer = text_tokenizer()
        self.device = mean.device

    @classmethod
    def of(cls, vae: Any, networks: Denoisers, latents: Latents) -> PairStudio:
        return cls(vae, networks, latents.mean, latents.std)

    @torch.no_grad()
    def reconstructed(self, clips: np.ndarray) -> np.ndarray:
        """See `Studio`."""
        return self._pictures.pixels(self._pictures.latents(clips))

    @torch.no_grad()
    def text2world(self, prompts: list[str], seeds: list[int], choice: Choice) -> np.ndarray:
        """See `Studio`."""
        asked = self._asked(prompts, seeds, choice.image_guidance)
        first = self._pictures.pixels(sample(self._networks.image, asked, choice, 1, None))
        return self.image2world(prompts, first, seeds, choice)

    @torch.no_grad()
    def image2world(self, prompts: list[str], first: np.ndarray, seeds: list[int], choice: Choice) -> np.ndarray:
        """See `Studio`."""
        asked, given = self._asked(prompts, seeds, choice.world_guidance), self._pictures.latents(first)
        return self._pictures.pixels(sample(self._networks.world, asked, choice, (FRAMES - 1) // 4 + 1, given))

    def _asked(self, prompts: list[str], seeds: list[int], guidance: float) -> Asked:
        return Asked(self._embed(prompts), self._embed([""] * len(prompts)), guidance, seeds)

    def _embed(self, prompts: list[str]) -> torch.Tensor:
        tokens = self._tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").to(self._pictures.device)
        return self._networks.embed(tokens.input_ids, tokens.attention_mask)
