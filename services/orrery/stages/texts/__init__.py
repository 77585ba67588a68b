"""Text encoders by the `model_type` of their configuration, and the projection that some transformers bring for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from orrery.stages.texts.projection import Projection
from orrery.stages.texts.qwen import Qwen
from orrery.stages.texts.t5 import T5
from orrery.worlds.errors import ComponentUnusable


class TextModel(Protocol):
    def encode(self, prompt: str) -> torch.Tensor:
        """Floats [tokens, width], in the element type that they were computed in."""
        ...


TEXT_MODELS: dict[str, Callable[[Path, torch.device], TextModel]] = {"t5": T5, "qwen2_5_vl": Qwen}

__all__ = ["T5", "TEXT_MODELS", "Projection", "Qwen", "TextModel", "load_text_model"]


def load_text_model(folder: Path, device: torch.device) -> TextModel:
    """Raises `ComponentUnusable` for a configuration of no known kind."""
    try:
        kind = json.loads((folder / "config.json").read_text())["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ComponentUnusable(f"{folder}: no usable config.json: {error}") from error
    if kind not in TEXT_MODELS:
        raise ComponentUnusable(f"{folder}: a text encoder of type {kind!r}; known are {sorted(TEXT_MODELS)}")
    return TEXT_MODELS[kind](folder, device)
