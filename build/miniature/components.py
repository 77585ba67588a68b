"""The trained networks as components: folders as diffusers and transformers save them, in FP16, with manifests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, CosmosTransformer3DModel
from transformers import T5EncoderModel

from miniature.denoisers import Denoisers, without_padding_mask
from miniature.networks import text_tokenizer
from orrery.engines.weights import load_module
from orrery.miniature.drawing import frames
from orrery.miniature.scenes import training_scene
from orrery.stages.colours import fit_latent_rgb
from orrery.worlds.catalog import find
from orrery.worlds.components import ComponentKind, LatentRgb, write_manifest

MODEL = find("miniature")
PICTURES = 64


def load(folder: Path, device: torch.device) -> tuple[Any, Denoisers]:
    """The video tokenizer and the networks of a folder of components, in FP32."""
    assert MODEL.image is not None
    assert MODEL.world is not None
    networks = Denoisers()
    networks.text = T5EncoderModel.from_pretrained(folder / MODEL.text_encoder, dtype=torch.float32).to(device)
    networks.image = _denoiser(folder / MODEL.image.component, device)
    networks.world = _denoiser(folder / MODEL.world.component, device)
    vae = load_module(AutoencoderKLWan, folder / MODEL.video_tokenizer, device).float()
    return vae, networks.eval().requires_grad_(False)


def _denoiser(folder: Path, device: torch.device) -> Any:
    return without_padding_mask(load_module(CosmosTransformer3DModel, folder, device).float())


def save(out: Path, vae: Any, networks: Denoisers, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Replaces the components under `out` by those of the catalog. The video tokenizer is told the moments of its latents."""
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    for transformer in (networks.image, networks.world):
        transformer.register_to_config(concat_padding_mask=True)
    write_component(out / MODEL.text_encoder, ComponentKind.TEXT_ENCODER, lambda folder: _text(networks.text, folder))
    write_component(out / MODEL.video_tokenizer, ComponentKind.VIDEO_TOKENIZER, vae.half().save_pretrained)
    rgb = fit_latent_rgb(out / MODEL.video_tokenizer, _pictures())
    for spec, network in ((MODEL.image, networks.image), (MODEL.world, networks.world)):
        assert spec is not None
        write_component(out / spec.component, ComponentKind.TRANSFORMER, network.half().save_pretrained, rgb)


def _pictures() -> torch.Tensor:
    """[PICTURES, 3, 96, 96] in 0 to 1: the first frames of as many scenes."""
    drawn = np.stack([frames(training_scene(0, number))[0] for number in range(PICTURES)])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255


def write_component(folder: Path, kind: ComponentKind, write: Callable[[Path], None], rgb: LatentRgb | None = None) -> None:
    """Replaces a component by what `write` puts into its folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(folder)
    write_manifest(folder, kind, latent_rgb=rgb)


def _text(encoder: Any, folder: Path) -> None:
    text_tokenizer().save_pretrained(folder / "tokenizer")
    encoder.half().save_pretrained(folder)
