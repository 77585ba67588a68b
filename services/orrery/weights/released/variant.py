"""What a released network is: the generation it belongs to, and its widths and depths."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from orrery.weights.errors import CheckpointUnknown
from orrery.worlds.plan import Frozen

PREFIX = "net."
NOT_WEIGHTS = ("*_extra_state", "accum_*", "pos_embedder.seq", "pos_embedder.dim_*_range", "logvar.*")
EMBEDDER = "x_embedder.proj.1.weight"
"""Every generation's first layer, whose shape tells the width of a network and what it is fed."""

PATCH = 4
"""Latents that the embedder takes at once: 1 x 2 x 2."""


class Generation(Frozen):
    """Networks whose tensors have the same names. `marks` are plain names that a file of this generation has.

    `renames` lead from a part of a released name to that of diffusers, one after another. `ways` are words in the names of
    files whose networks are run in a way of their own that stages have.
    """

    name: str
    marks: tuple[str, ...]
    renames: dict[str, str]
    ways: tuple[str, ...] = ()

    def renamed(self, name: str) -> str:
        """Diffusers' name of a tensor, from its plain name."""
        for old, new in self.renames.items():
            name = name.replace(old, new)
        return name


class Variant(Frozen):
    """A released network. `in_channels` counts latents and the condition mask; the padding mask is one more."""

    generation: Generation
    name: str
    heads: int
    head_width: int
    layers: int
    in_channels: int
    rope_scale: tuple[float, float, float]
    text_width: int = 1024
    adaln_width: int = 256
    mlp_ratio: float = 4.0
    neighbourhoods: str | None = None
    """The table of `worlds.neighbourhoods` that its sparse release was trained with."""
    extra: dict[str, Any] = {}
    """What else its configuration says, beside `config`'s own."""

    @property
    def embedder(self) -> tuple[int, int]:
        """The shape of the embedder's weights, by which a variant is known within its generation."""
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
        } | self.extra

    def hold(self, file: str, shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
        """Raises `CheckpointUnknown` naming the first tensor that is not as `expected`, which is by diffusers' names."""
        released = {self.generation.renamed(name): name for name in shapes}
        for name, shape in expected.items():
            if name not in released:
                raise CheckpointUnknown(f"{file}: {self.name} has {name} of shape {list(shape)}, and this file has none")
            if shapes[released[name]] != shape:
                found = list(shapes[released[name]])
                raise CheckpointUnknown(f"{file}: {released[name]} is {found}; {self.name} has {list(shape)}")
        strange = next((released[name] for name in sorted(released) if name not in expected), None)
        if strange is not None:
            raise CheckpointUnknown(f"{file}: {self.name} has no {strange}, of shape {list(shapes[strange])} here")


def plain(name: str) -> str | None:
    """A released name without its prefix; None for what is no weight of the network."""
    name = name.removeprefix(PREFIX)
    return None if any(fnmatchcase(name, pattern) for pattern in NOT_WEIGHTS) else name
