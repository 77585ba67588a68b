"""Video tokenizers, by the class that a component's `config.json` names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from orrery.stages.tokenizers.cosmos import CosmosTokenizer
from orrery.stages.tokenizers.tokenizer import VideoTokenizer
from orrery.stages.tokenizers.wan import WanTokenizer
from orrery.worlds.errors import ComponentUnusable

TOKENIZERS: dict[str, Callable[[Path, torch.device], VideoTokenizer]] = {
    "AutoencoderKLWan": WanTokenizer,
    "AutoencoderKLCosmos": CosmosTokenizer,
}

__all__ = ["TOKENIZERS", "CosmosTokenizer", "VideoTokenizer", "WanTokenizer", "load_tokenizer"]


def load_tokenizer(folder: Path, device: torch.device) -> VideoTokenizer:
    """Raises `ComponentUnusable` for a folder without a configuration or with one of a class that is not known."""
    try:
        name = json.loads((folder / "config.json").read_bytes())["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ComponentUnusable(f"{folder}: no usable config.json: {error!r}") from error
    if name not in TOKENIZERS:
        raise ComponentUnusable(f"{folder}: there is no video tokenizer {name!r}; known are {', '.join(TOKENIZERS)}")
    return TOKENIZERS[name](folder, device)
