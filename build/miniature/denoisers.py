"""Trains the text encoder and both denoisers together, as rectified flows behind the preconditioning of Predict2.

With t = sigma / (1 + sigma), noise n and clean latents x0, the network sees x_t = (1 - t) x0 + t n and answers n - x0, which is
what `orrery.stages.predictions` assumes. Conditioning frames are given clean, at the noise level `SIGMA_CONDITIONAL`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from miniature.latents import Latents
from miniature.networks import text2image, text_encoder, text_tokenizer, video2world
from miniature.recipe import Recipe
from miniature.training import Graphed, Run, compile_blocks, half_precision
from orrery.engines.eager import with_padding
from orrery.miniature.vocabulary import FPS
from orrery.stages.predictions import SIGMA_CONDITIONAL
from orrery.stages.samplers.sigmas import SIGMA_MAX, SIGMA_MIN, karras_sigma


class Denoisers(torch.nn.Module):
    """Everything that is trained together, so that one optimiser and one checkpoint hold it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = text_encoder()
        self.image = without_padding_mask(text2image())
        self.world = without_padding_mask(video2world())

    def embed(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[n, tokens, width], zero after each prompt's end, as the text encoder's stage makes it."""
        return self.text(tokens, attention_mask=mask).last_hidden_state * mask[..., None]


def without_padding_mask(transformer: Any) -> Any:
    """The module would resize the mask with torchvision; its channel, all zero, is added by `with_padding`."""
    transformer.register_to_config(concat_padding_mask=False)
    return transformer


class Captions:
    """Token ids [N, K, length] and their lengths, and the empty prompt's, which stands for no caption."""

    def __init__(self, texts: list[list[str]], device: torch.device):
        tokenizer = text_tokenizer()
        flat = [text for choices in texts for text in choices]
        encoded = tokenizer(flat, padding="longest", truncation=True, return_tensors="pt")
        self.ids = encoded.input_ids.view(len(texts), -1, encoded.input_ids.shape[-1]).to(device)
        self.masks = encoded.attention_mask.view_as(self.ids).to(device)
        empty = tokenizer("", padding="max_length", max_length=self.ids.shape[-1], truncation=True, return_tensors="pt")
        self.empty = (empty.input_ids[0].to(device), empty.attention_mask[0].to(device))
        self.padded = tokenizer.model_max_length

    def pick(self, numbers: torch.Tensor, dropout: float) -> tuple[torch.Tensor, torch.Tensor]:
        choice = torch.randint(self.ids.shape[1], numbers.shape, device=numbers.device)
        dropped = torch.rand(numbers.shape, device=numbers.device)[:, None] < dropout
        ids = torch.where(dropped, self.empty[0], self.ids[numbers, choice])
        return ids, torch.where(dropped, self.empty[1], self.masks[numbers, choice])

    def filled_up(self, embedded: torch.Tensor) -> torch.Tensor:
        """Zeros after embeddings [n, tokens, width], up to the length that the text encoder's stage gives."""
        return torch.nn.functional.pad(embedded, (0, 0, 0, self.padded - embedded.shape[1]))


def train(work: Path, recipe: Recipe, latents: Latents, texts: list[list[str]], device: torch.device) -> Denoisers:
    """The trained networks, with the average of their weights."""
    torch.manual_seed(recipe.seed)
    return go_on(work / "denoisers", recipe, Denoisers().to(device), latents, texts)


def go_on(folder: Path, recipe: Recipe, networks: Denoisers, latents: Latents, texts: list[list[str]]) -> Denoisers:
    """The same networks, trained from what they are, with the average of their weights. `folder` is of checkpoints."""
    device = latents.values.device
    captions = Captions(texts, device)
    run = Run(
        folder,
        networks.train().requires_grad_(True),
        rate=recipe.denoiser_rate,
        total=recipe.denoiser_steps,
        warm_up=recipe.warm_up,
        decay=recipe.ema_decay,
    )
    objective = Objective(networks, recipe, latents, captions, device)
    run.train(objective)
    run.average.write_to(networks)
    return networks.eval().requires_grad_(False)


class Flow(torch.nn.Module):
    """A denoiser's answer for one frame rate of the rotary embedding, as graphs are captured of it."""

    def __init__(self, denoiser: torch.nn.Module, rope_fps: int | None = None):
        super().__init__()
        self.denoiser, self._rope_fps = denoiser, rope_fps

    def forward(self, latents: torch.Tensor, t: torch.Tensor, text: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        with half_precision(latents.device):
            answer: torch.Tensor = self.denoiser(
                hidden_states=latents,
                timestep=t,
                encoder_hidden_states=text,
                condition_mask=channels,
                fps=self._rope_fps,
                return_dict=False,
            )[0]
        return answer.float()


def flow_loss(flow: Graphed, clean: torch.Tensor, text: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Of text2image on clean latents [n, 16, 1, h, w], each at its level of `t` [n]."""
    noise = torch.randn_like(clean)
    noisy = _mixed(clean, noise, t)
    answer = flow(noisy, t, text, with_padding(None, noisy))
    return ((answer - (noise - clean)) ** 2).mean()


class Objective:
    """The losses of one batch: the same clips and captions for both denoisers, the image's is the clip's first latent."""

    def __init__(self, networks: Denoisers, recipe: Recipe, latents: Latents, captions: Captions, device: torch.device):
        self._networks, self._recipe, self._latents, self._captions, self._device = networks, recipe, latents, captions, device
        self._image = Graphed(Flow(networks.image))
        self._world, self._world_at_fps = Graphed(Flow(networks.world)), Graphed(Flow(networks.world, FPS))
        for transformer in (networks.image, networks.world):
            compile_blocks(transformer, device)

    def __call__(self, step: int) -> dict[str, torch.Tensor]:
        count = self._recipe.denoiser_batch
        torch.manual_seed(self._recipe.seed + step)
        numbers = torch.randint(len(self._latents.values), (count,), device=self._device)
        clean = self._latents.normalised(numbers)
        with half_precision(self._device):
            ids, mask = self._captions.pick(numbers, self._recipe.caption_dropout)
            text = self._captions.filled_up(self._networks.embed(ids, mask)).float()
        image = flow_loss(self._image, clean[:, :, :1], text, noise_levels(count, self._device))
        world = self._world_loss(clean, text)
        return {"loss": image + world, "image": image, "world": world}

    def _world_loss(self, clean: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        flow = self._world_at_fps if torch.rand(()).item() < self._recipe.rope_fps_share else self._world
        return world_loss(flow, clean, text, self._recipe.conditional_frames, noise_levels(len(clean), self._device))


def world_loss(
    flow: Graphed, clean: torch.Tensor, text: torch.Tensor, odds: tuple[float, float, float], t: torch.Tensor
) -> torch.Tensor:
    """Of a denoiser that may be given 0, 1 or 2 latent frames, by their `odds`; the others are at levels `t` [n]."""
    noise = torch.randn_like(clean)
    mask = _given(len(clean), clean.shape[2], torch.tensor(odds, device=clean.device))[:, None, :, None, None]
    noisy = torch.where(mask, clean, _mixed(clean, noise, t))
    levels = torch.where(mask, SIGMA_CONDITIONAL / (1 + SIGMA_CONDITIONAL), t.view(-1, 1, 1, 1, 1))
    answer = flow(noisy, levels, text, with_padding(mask.to(noisy).expand_as(noisy[:, :1]), noisy))
    wrong = torch.where(mask, 0.0, (answer - (noise - clean)) ** 2)
    return wrong.sum() / (~mask).expand_as(wrong).sum()


def _given(count: int, frames: int, odds: torch.Tensor) -> torch.Tensor:
    """Which latent frames [n, t] are given."""
    numbers = torch.multinomial(odds, count, replacement=True)
    return torch.arange(frames, device=odds.device)[None] < numbers[:, None]


def noise_levels(count: int, device: torch.device, sigma_max: float = SIGMA_MAX, sigma_min: float = SIGMA_MIN) -> torch.Tensor:
    """Levels t in (0, 1): half of them as the samplers' sigmas are spaced, half even."""
    u = torch.rand(count, device=device)
    sigma = karras_sigma(u, sigma_max, sigma_min)
    return torch.where(torch.rand(count, device=device) < 0.5, sigma / (1 + sigma), torch.rand(count, device=device))


def deciding_levels(count: int, device: torch.device, share: float) -> torch.Tensor:
    """Levels t in (0, 1), so many of them where it is settled which thing is where: sigma around 3, most of them in 1 to 8.

    Pictures that begin with the right scene under noise come out right from sigma 1.3 down, and no better than from nothing
    from 11 up.
    """
    sigma = torch.exp(1.1 + torch.randn(count, device=device))
    return torch.where(torch.rand(count, device=device) < share, sigma / (1 + sigma), noise_levels(count, device))


def _mixed(clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    t = t.view(-1, 1, 1, 1, 1)
    return (1 - t) * clean + t * noise
