"""Trains the miniature in the form of Predict2.5: one denoiser for worlds from nothing, an image or a clip.

PYTHONPATH=build python -m miniature.one_model --components DIR --work DIR --out DIR

The video tokenizer is the one of the components that are there, and the denoiser begins with the weights of their video2world.
The language model, a Qwen2.5-VL, and its projection begin with nothing; all three learn together, on crowded scenes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, CosmosTransformer3DModel

from miniature import card, latents, options, scoring
from miniature.components import write_component
from miniature.conversing import LAYERS, WIDTH, Conversations, qwen, qwen_tokenizer
from miniature.denoisers import Flow, noise_levels, without_padding_mask, world_loss
from miniature.latents import Latents
from miniature.networks import LATENT_CHANNELS, TEXT_WIDTH
from miniature.recipe import RECIPES, Recipe
from miniature.sampling import Asked, Choice, Pictures, sample
from miniature.scenery import crowded
from miniature.training import Graphed, Run, compile_blocks, half_precision
from orrery.engines.weights import load_module
from orrery.miniature.vocabulary import FRAMES
from orrery.stages.samplers.unipc import SIGMA_MAX, SIGMA_MIN
from orrery.stages.texts.qwen import every_layer, tokens_of
from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.components import ComponentKind, read_manifest

MODEL = find("miniature-predict25")
SPEC = MODEL.denoiser(Workflow.TEXT2WORLD)
SAMPLER = SPEC.samplers[0].value
WORLD = find("miniature").denoiser(Workflow.VIDEO2WORLD).component
"""Whose weights it begins with."""


class OneModel(torch.nn.Module):
    """Everything that is trained together."""

    def __init__(self) -> None:
        super().__init__()
        self.text = qwen()
        self.text.model.visual.requires_grad_(False)
        self.base = without_padding_mask(base())

    def begin_with(self, video2world: Any) -> None:
        """What a video2world denoiser knows of pictures and motions; what texts mean is learned from nothing."""
        missing, unknown = self.base.load_state_dict(video2world.state_dict(), strict=False)
        assert not unknown
        assert all(name.startswith("crossattn_proj.") for name in missing), missing

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """[n, tokens, layers * width]: the denoiser projects it."""
        return every_layer(self.text.model.language_model, tokens)


def base() -> Any:
    return CosmosTransformer3DModel(
        in_channels=LATENT_CHANNELS + 1,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=6,
        attention_head_dim=32,
        num_layers=8,
        mlp_ratio=4.0,
        text_embed_dim=TEXT_WIDTH,
        adaln_lora_dim=32,
        rope_scale=(1.0, 3.0, 3.0),
        concat_padding_mask=True,
        extra_pos_embed_type=None,
        use_crossattn_projection=True,
        crossattn_proj_in_channels=LAYERS * WIDTH,
        encoder_hidden_states_channels=TEXT_WIDTH,
    )


def train(work: Path, recipe: Recipe, encoded: Latents, texts: list[list[str]], video2world: Any) -> OneModel:
    """The trained networks, with the average of their weights."""
    torch.manual_seed(recipe.seed)
    device = encoded.values.device
    networks = OneModel().to(device)
    networks.begin_with(video2world)
    run = Run(
        work / "one_model",
        networks,
        rate=recipe.denoiser_rate,
        total=recipe.one_model_steps,
        warm_up=recipe.warm_up,
        decay=recipe.ema_decay,
    )
    run.train(Objective(networks, recipe, encoded, Conversations(texts, device)))
    run.average.write_to(networks)
    return networks.eval().requires_grad_(False)


class Objective:
    """The losses of one batch: worlds, and single frames of other scenes, from which colours and shapes are learned cheaply."""

    def __init__(self, networks: OneModel, recipe: Recipe, encoded: Latents, conversations: Conversations):
        self._recipe, self._encoded, self._conversations = recipe, encoded, conversations
        self._flow, self._embed = Graphed(Flow(networks.base)), Graphed(Embedding(networks.text.model.language_model))
        self._device = encoded.values.device
        compile_blocks(networks.base, self._device)

    def __call__(self, step: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(self._recipe.seed + step)
        sizes = (self._recipe.denoiser_batch, self._recipe.one_model_images)
        numbers = torch.randint(len(self._encoded.values), (sum(sizes),), device=self._device)
        texts = self._embed(self._conversations.pick(numbers, self._recipe.caption_dropout)).split(sizes)
        worlds, images = (self._encoded.normalised(some) for some in numbers.split(sizes))
        world = self._loss(worlds, texts[0], self._recipe.one_model_conditional_frames)
        image = self._loss(images[:, :, :1], texts[1], (1.0, 0.0, 0.0))
        return {"loss": world + image, "world": world, "image": image}

    def _loss(self, clean: torch.Tensor, text: torch.Tensor, odds: tuple[float, float, float]) -> torch.Tensor:
        levels = noise_levels(len(clean), self._device, SIGMA_MAX, SIGMA_MIN)
        return world_loss(self._flow, clean, text, odds, levels)


class Embedding(torch.nn.Module):
    """What a language model's layers say, as graphs are captured of it: of a module with no weights that take no part."""

    def __init__(self, language_model: torch.nn.Module):
        super().__init__()
        self.language_model = language_model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        with half_precision(tokens.device):
            return every_layer(self.language_model, tokens).float()


class OneStudio:
    """Predict2.5's form: worlds from text alone, or from frames, by the same network."""

    def __init__(self, vae: Any, networks: OneModel, encoded: Latents):
        self._networks, self._pictures = networks, Pictures(vae, encoded.mean, encoded.std)
        self._tokenizer = qwen_tokenizer()

    @torch.no_grad()
    def reconstructed(self, clips: np.ndarray) -> np.ndarray:
        """See `Studio`."""
        return self._pictures.pixels(self._pictures.latents(clips))

    @torch.no_grad()
    def text2world(self, prompts: list[str], seeds: list[int], choice: Choice) -> np.ndarray:
        """See `Studio`."""
        return self._worlds(prompts, None, seeds, choice)

    @torch.no_grad()
    def image2world(self, prompts: list[str], first: np.ndarray, seeds: list[int], choice: Choice) -> np.ndarray:
        """See `Studio`."""
        return self._worlds(prompts, self._pictures.latents(first), seeds, choice)

    def _worlds(self, prompts: list[str], given: torch.Tensor | None, seeds: list[int], choice: Choice) -> np.ndarray:
        asked = Asked(self._embed(prompts), self._embed([""] * len(prompts)), choice.world_guidance, seeds)
        frames = (FRAMES - 1) // 4 + 1
        made = sample(self._networks.base, asked, choice, frames, given, conditional_timestep=SPEC.conditional_timestep)
        return self._pictures.pixels(made)

    def _embed(self, prompts: list[str]) -> torch.Tensor:
        return self._networks.embed(tokens_of(prompts, self._tokenizer).to(self._pictures.device)).float()


def save(out: Path, networks: OneModel, shown_by: Path) -> None:
    """Replaces both components under `out`. Latents are shown as those of `shown_by`, which are of the same tokenizer."""
    networks.base.register_to_config(concat_padding_mask=True)
    write_component(out / MODEL.text_encoder, ComponentKind.TEXT_ENCODER, lambda folder: _text(networks.text, folder))
    rgb = read_manifest(shown_by).latent_rgb
    write_component(out / SPEC.component, ComponentKind.TRANSFORMER, networks.base.half().save_pretrained, rgb)


def _text(model: Any, folder: Path) -> None:
    qwen_tokenizer().save_pretrained(folder / "tokenizer")
    model.half().save_pretrained(folder)


def main() -> None:
    arguments = options.from_components("miniature.one_model", __doc__)
    recipe = RECIPES[arguments.recipe]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    vae = load_module(AutoencoderKLWan, arguments.components / MODEL.video_tokenizer, device).float()
    things, texts = crowded(recipe.crowd, recipe.captions_per_scene)
    arguments.work.mkdir(parents=True, exist_ok=True)
    encoded = latents.compute(arguments.work, vae, things.to(device), device)
    encoded = encoded.measured_as(vae)
    world = load_module(CosmosTransformer3DModel, arguments.components / WORLD, device).float()
    networks = train(arguments.work, recipe, encoded, texts, world)
    choice = Choice(SAMPLER, arguments.steps)
    scores = scoring.score(OneStudio(vae, networks, encoded), arguments.prompts, choice)
    scoring.show(scores)
    save(arguments.out, networks, arguments.components / WORLD)
    card.add(arguments.out, MODEL.name, scores, arguments.prompts, choice)


if __name__ == "__main__":
    main()
