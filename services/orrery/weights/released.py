"""The denoisers of Cosmos Predict2 as they were released: what their tensors are called, and which of them a file is.

Names, widths, depths and RoPE ratios are those of cosmos-predict2; diffusers has the same tensors under other names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from orrery.weights.errors import CheckpointUnknown
from orrery.worlds.plan import Frozen

PREFIX = "net."
NOT_WEIGHTS = ("*_extra_state", "accum_*", "pos_embedder.seq", "pos_embedder.dim_*_range", "logvar.*")
RENAMES = {
    "t_embedder.1": "time_embed.t_embedder",
    "t_embedding_norm": "time_embed.norm",
    "blocks": "transformer_blocks",
    "adaln_modulation_self_attn.1": "norm1.linear_1",
    "adaln_modulation_self_attn.2": "norm1.linear_2",
    "adaln_modulation_cross_attn.1": "norm2.linear_1",
    "adaln_modulation_cross_attn.2": "norm2.linear_2",
    "adaln_modulation_mlp.1": "norm3.linear_1",
    "adaln_modulation_mlp.2": "norm3.linear_2",
    "self_attn": "attn1",
    "cross_attn": "attn2",
    "q_proj": "to_q",
    "k_proj": "to_k",
    "v_proj": "to_v",
    "output_proj": "to_out.0",
    "q_norm": "norm_q",
    "k_norm": "norm_k",
    "mlp.layer1": "ff.net.0.proj",
    "mlp.layer2": "ff.net.2",
    "x_embedder.proj.1": "patch_embed.proj",
    "final_layer.adaln_modulation.1": "norm_out.linear_1",
    "final_layer.adaln_modulation.2": "norm_out.linear_2",
    "final_layer.linear": "proj_out",
}
"""From a part of a released name to that of diffusers, one after another."""

EMBEDDER = "x_embedder.proj.1.weight"
PATCH = 4
"""Latents that the embedder takes at once: 1 x 2 x 2."""

UNSERVED_NAMES = ("natten", "distill", "fast_tokenizer", "multiview", "action")
"""In the name of a file: a network of the same tensors that is to be run otherwise, which only its name says."""


class Variant(Frozen):
    """A released network. `in_channels` counts latents and the condition mask; the padding mask is one more."""

    name: str
    heads: int
    head_width: int
    layers: int
    in_channels: int
    rope_scale: tuple[float, float, float]
    text_width: int = 1024
    adaln_width: int = 256
    mlp_ratio: float = 4.0

    @property
    def embedder(self) -> tuple[int, int]:
        """The shape of the embedder's weights, by which a variant is known."""
        return self.heads * self.head_width, (self.in_channels + 1) * PATCH

    @property
    def config(self) -> dict[str, Any]:
        """As diffusers' `CosmosTransformer3DModel` takes it."""
        return {
            "in_channels": self.in_channels,
            "out_channels": 16,
            "num_attention_heads": self.heads,
            "attention_head_dim": self.head_width,
            "num_layers": self.layers,
            "mlp_ratio": self.mlp_ratio,
            "text_embed_dim": self.text_width,
            "adaln_lora_dim": self.adaln_width,
            "max_size": (128, 240, 240),
            "patch_size": (1, 2, 2),
            "rope_scale": self.rope_scale,
            "concat_padding_mask": True,
            "extra_pos_embed_type": None,
        }


def _image(size: str, heads: int, head_width: int, layers: int) -> Variant:
    name = f"Predict2 {size} Text2Image"
    return Variant(name=name, heads=heads, head_width=head_width, layers=layers, in_channels=16, rope_scale=(1.0, 4.0, 4.0))


def _world(size: str, heads: int, layers: int, rope_scale: tuple[float, float, float]) -> Variant:
    name = f"Predict2 {size} Video2World"
    return Variant(name=name, heads=heads, head_width=128, layers=layers, in_channels=17, rope_scale=rope_scale)


VARIANTS = {
    "predict2-0.6b-text2image": _image("0.6B", 20, 64, 20),
    "predict2-2b-text2image": _image("2B", 16, 128, 28),
    "predict2-14b-text2image": _image("14B", 40, 128, 36),
    "predict2-2b-video2world-720p16": _world("2B", 16, 28, (1.0, 3.0, 3.0)),
    "predict2-14b-video2world-720p16": _world("14B", 40, 36, (20 / 24, 2.0, 2.0)),
}
"""By the name of the component that the variant becomes. A component of another name may be any of them."""


def plain(name: str) -> str | None:
    """A released name without its prefix; None for what is no weight of the network."""
    name = name.removeprefix(PREFIX)
    return None if any(fnmatchcase(name, pattern) for pattern in NOT_WEIGHTS) else name


def renamed(name: str) -> str:
    """Diffusers' name of a tensor."""
    for old, new in RENAMES.items():
        name = name.replace(old, new)
    return name


def variant_of(file: str, shapes: Mapping[str, tuple[int, ...]], variants: Collection[Variant]) -> Variant:
    """Which network has an embedder of this shape. `shapes` are by plain names. Raises `CheckpointUnknown`."""
    unserved = next((word for word in UNSERVED_NAMES if word in file.lower()), None)
    if unserved is not None:
        raise CheckpointUnknown(f"{file}: by its name ({unserved}) it is to be run in a way that no stage has")
    if any(name.startswith("blocks.block") for name in shapes):
        raise CheckpointUnknown(f"{file} is a denoiser of Predict1 (blocks.block0...); those of Predict2 are known")
    known: dict[tuple[int, ...], Variant] = {variant.embedder: variant for variant in variants}
    if EMBEDDER not in shapes:
        raise CheckpointUnknown(f"{file} has no {PREFIX}{EMBEDDER}, as every denoiser of Predict2 has")
    if shapes[EMBEDDER] not in known:
        expected = ", ".join(f"{list(shape)} ({variant.name})" for shape, variant in known.items())
        raise CheckpointUnknown(f"{file}: {EMBEDDER} is {list(shapes[EMBEDDER])}; expected was one of {expected}")
    return known[shapes[EMBEDDER]]


def hold(file: str, variant: Variant, shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `CheckpointUnknown` naming the first tensor that is not as `expected`, which is by diffusers' names."""
    released = {renamed(name): name for name in shapes}
    for name, shape in expected.items():
        if name not in released:
            raise CheckpointUnknown(f"{file}: {variant.name} has {name} of shape {list(shape)}, and this file has none")
        if shapes[released[name]] != shape:
            found = list(shapes[released[name]])
            raise CheckpointUnknown(f"{file}: {released[name]} is {found}; {variant.name} has {list(shape)}")
    strange = next((released[name] for name in sorted(released) if name not in expected), None)
    if strange is not None:
        raise CheckpointUnknown(f"{file}: {variant.name} has no {strange}, of shape {list(shapes[strange])} here")
