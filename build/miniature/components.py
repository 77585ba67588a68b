"""The trained networks as components: folders as diffusers and transformers save them, in FP16, with manifests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from miniature.denoisers import Denoisers
from miniature.networks import text_tokenizer
from orrery.worlds.components import ComponentKind, write_manifest


def save(out: Path, vae: Any, networks: Denoisers, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Replaces the components under `out`. The tokenizer's configuration holds the moments of its latents."""
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    for transformer in (networks.image, networks.world):
        transformer.register_to_config(concat_padding_mask=True)
    _component(out / "miniature-t5", ComponentKind.TEXT_ENCODER, lambda folder: _text(networks.text, folder))
    _component(out / "miniature-wan-vae", ComponentKind.VIDEO_TOKENIZER, vae.half().save_pretrained)
    _component(out / "miniature-text2image", ComponentKind.TRANSFORMER, networks.image.half().save_pretrained)
    _component(out / "miniature-video2world", ComponentKind.TRANSFORMER, networks.world.half().save_pretrained)


def _component(folder: Path, kind: ComponentKind, write: Callable[[Path], None]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write(folder)
    write_manifest(folder, kind)


def _text(encoder: Any, folder: Path) -> None:
    text_tokenizer().save_pretrained(folder / "tokenizer")
    encoder.half().save_pretrained(folder)
