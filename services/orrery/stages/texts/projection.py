"""Predict2.5's transformers project the text encoder's output before anything else: here, once, and not at every step there.

What goes from stage to stage is so 512 x 1024 numbers, and not 512 x 100,352.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from orrery.engines.weights import load_part
from orrery.worlds.errors import ComponentUnusable

NAMES = "crossattn_proj."


class Projection:
    """The projection of a transformer, and nothing else of it: a linear layer and GELU."""

    def __init__(self, folder: Path, device: torch.device):
        self._module = load_part(lambda: _projection(folder), folder, device, projection_name)
        self._device = device

    @torch.inference_mode()
    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """FP32 [tokens, width of the transformer's text], computed in the element type of the transformer's weights."""
        weight = next(self._module.parameters())
        projected: torch.Tensor = self._module(states[None].to(self._device, weight.dtype))
        return projected[0].float()


def _projection(folder: Path) -> torch.nn.Module:
    config = json.loads((folder / "config.json").read_text())
    if not config.get("use_crossattn_projection", False):
        raise ComponentUnusable(f"{folder}: this transformer projects no text")
    linear = torch.nn.Linear(config["crossattn_proj_in_channels"], config["encoder_hidden_states_channels"])
    return torch.nn.Sequential(linear, torch.nn.GELU())


def projection_name(name: str) -> str | None:
    """The projection's own name of a transformer's tensor; None for what is not of it."""
    return name.removeprefix(NAMES) if name.startswith(NAMES) else None
