"""What the tiny checkpoints of all generations have in common: how random weights are drawn, and their transformers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import CosmosTransformer3DModel

from orrery.worlds.components import ComponentKind

TEXT_WIDTH = 32
SEED = 20260101


@dataclass(frozen=True)
class Recipe:
    """How a component is made in its folder. `shown_by` is the video tokenizer, made before, whose latents it is to show."""

    make: Callable[[Path], ComponentKind]
    shown_by: str | None = None


def seeded(make: Callable[[], Any]) -> Any:
    torch.manual_seed(SEED)
    return make().eval()


def randomise(model: Any, *, gain: float) -> None:
    """Matrices with deviation `gain / sqrt(fan in)`: the default initialisation lets the signal die out from layer to layer."""
    generator = torch.Generator().manual_seed(SEED)
    for parameter in model.parameters():
        if parameter.ndim > 1 and min(parameter.shape[:2]) > 1:
            deviation = gain / math.sqrt(parameter[0].numel())
            parameter.data.normal_(0.0, deviation, generator=generator)


def transformer(folder: Path, *, in_channels: int, rope_scale: tuple[float, float, float], **differing: Any) -> ComponentKind:
    """`differing` is what else a generation's configuration says, where it is not Predict2's."""
    config = {"extra_pos_embed_type": None} | differing

    def make() -> Any:
        return CosmosTransformer3DModel(
            in_channels=in_channels,
            out_channels=16,
            num_attention_heads=2,
            attention_head_dim=16,
            num_layers=2,
            mlp_ratio=2.0,
            text_embed_dim=TEXT_WIDTH,
            adaln_lora_dim=8,
            rope_scale=rope_scale,
            concat_padding_mask=True,
            **config,
        )

    model = seeded(make)
    randomise(model, gain=1.2)
    # The gain above makes the prompt tell; this keeps latents near unit deviation, as trained ones are.
    model.proj_out.weight.data.mul_(0.5)
    model.save_pretrained(folder)
    return ComponentKind.TRANSFORMER
