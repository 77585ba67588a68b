"""Self-attention within neighbourhoods: one meaning, three ways to compute it.

The meaning is NATTEN's (natten.org; Hassani et al. 2025, "Generalized Neighborhood Attention"). A token's window lies around
the leader of its stride group, of an even window one token more before it than after; where it would reach over a border it is
shifted inwards. With a dilation this holds for each residue by itself. Axes are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any

import torch
from diffusers.models.embeddings import apply_rotary_emb
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from orrery.engines.blocks import Axes, Tiled, divides, tiled
from orrery.worlds.neighbourhoods import Layers, Neighbourhood, Triple, adapted

ROWS = 1024
"""Queries whose mask is in memory at once, of the plain way."""

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Neighbourhood, Triple], torch.Tensor]
"""Queries, keys and values [1, heads, tokens, width], the pattern as it is for the grid, and the grid; to the same shape."""


@dataclass
class Grid:
    """The tokens that a network is at work on: frames, rows, columns. Its engine says so before each evaluation."""

    size: Triple = (0, 0, 0)


@dataclass
class NeighbourhoodProcessor:
    """What diffusers' `Attention` of one layer calls, in place of attention of all to all."""

    pattern: Neighbourhood
    grid: Grid
    kernel: Kernel

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: Any = None,
    ) -> torch.Tensor:
        """`hidden_states` [1, tokens, width] to the same shape. A single frame attends to itself whole, as in official code."""
        if encoder_hidden_states is not None or attention_mask is not None:
            raise ValueError("neighbourhoods are of self-attention without a mask")
        query, key, value = (_heads(layer(hidden_states), attn.heads) for layer in (attn.to_q, attn.to_k, attn.to_v))
        query, key = _rotated(attn.norm_q(query), image_rotary_emb), _rotated(attn.norm_k(key), image_rotary_emb)
        if self.grid.size[0] == 1:
            attended = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        else:
            attended = self.kernel(query, key, value, adapted(self.pattern, self.grid.size), self.grid.size)
        joined = attended.transpose(1, 2).flatten(2).type_as(query)
        output: torch.Tensor = attn.to_out[1](attn.to_out[0](joined))
        return output


def attach(module: Any, layers: Layers, grid: Grid, device: torch.device) -> None:
    """Gives each block of a `CosmosTransformer3DModel` the self-attention of its layer; None leaves it as it is."""
    kernel = kernel_for(device)
    for block, pattern in zip(module.transformer_blocks, layers, strict=True):
        if pattern is not None:
            block.attn1.set_processor(NeighbourhoodProcessor(pattern, grid, kernel))


def kernel_for(device: torch.device) -> Kernel:
    """On a processor the plain way; on a GPU NATTEN's kernels where they are installed, else torch's block masks."""
    if device.type == "cpu":
        return KERNELS["dense"]
    return KERNELS["flex" if find_spec("natten") is None else "natten"]


def axis_mask(length: int, window: int, stride: int, dilation: int) -> torch.Tensor:
    """BOOL [length, length] along one axis: whether the first attends to the second."""
    position = torch.arange(length)
    group, index = position % dilation, position // dilation
    last = (length - 1 - group) // dilation
    leader = torch.minimum(index // stride * stride + stride // 2, last)
    before, after = window // 2, window // 2 + window % 2 - 1
    centre = torch.minimum(leader.clamp(min=before), last - after)
    reached = (index >= (centre - before)[:, None]) & (index <= (centre + after)[:, None])
    return reached & (group == group[:, None])


@lru_cache(32)
def _axes(pattern: Neighbourhood, grid: Triple, device: torch.device) -> Axes:
    sides = zip(grid, pattern.window, pattern.stride, pattern.dilation, strict=True)
    frames, rows, columns = (axis_mask(*side).to(device) for side in sides)
    return frames, rows, columns


def _places(index: torch.Tensor, grid: Triple) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    _, rows, columns = grid
    return index // (rows * columns), index // columns % rows, index % columns


def token_mask(pattern: Neighbourhood, grid: Triple, query: torch.Tensor) -> torch.Tensor:
    """BOOL [queries, tokens]: what the tokens of these indices attend to."""
    tokens = torch.arange(grid[0] * grid[1] * grid[2], device=query.device)
    places = zip(_axes(pattern, grid, query.device), _places(query, grid), _places(tokens, grid), strict=True)
    masks = [axis[of][:, to] for axis, of, to in places]
    return masks[0] & masks[1] & masks[2]


def dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pattern: Neighbourhood, grid: Triple) -> torch.Tensor:
    """All pairs with a mask, some queries at a time: what the other ways are held to."""
    parts = []
    for start in range(0, q.shape[2], ROWS):
        rows = q[:, :, start : start + ROWS]
        mask = token_mask(pattern, grid, torch.arange(start, start + rows.shape[2], device=q.device))
        parts.append(torch.nn.functional.scaled_dot_product_attention(rows, k, v, attn_mask=mask))
    return torch.cat(parts, dim=2)


def flex(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pattern: Neighbourhood, grid: Triple) -> torch.Tensor:
    """Torch's FlexAttention, which leaves out blocks of pairs that the mask has none of. Compiled on a GPU."""
    if not divides(grid):
        attended: torch.Tensor = _flex(q.device.type)(q, k, v, block_mask=block_mask(pattern, grid, q.device))
        return attended
    tiles = in_tiles(pattern, grid, q.device)
    q, k, v = (tensor[:, :, tiles.order] for tensor in (q, k, v))
    in_order: torch.Tensor = _flex(q.device.type)(q, k, v, block_mask=tiles.mask)
    return in_order[:, :, tiles.inverse]


@lru_cache(32)
def in_tiles(pattern: Neighbourhood, grid: Triple, device: torch.device) -> Tiled:
    """The order of tokens, and the mask in it, of a grid of whole tiles."""
    return tiled(_axes(pattern, grid, device), pattern.dilation, grid)


@lru_cache(32)
def block_mask(pattern: Neighbourhood, grid: Triple, device: torch.device) -> BlockMask:
    """The mask of a grid that is not of whole tiles, row by row."""
    frames, rows, columns = _axes(pattern, grid, device)

    def attends(batch: Any, head: Any, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
        (qt, qh, qw), (kt, kh, kw) = _places(query, grid), _places(key, grid)
        return frames[qt, kt] & rows[qh, kh] & columns[qw, kw]

    tokens = grid[0] * grid[1] * grid[2]
    return create_block_mask(attends, None, None, tokens, tokens, device=str(device), _compile=device.type != "cpu")


@cache
def _flex(device_type: str) -> Any:
    return flex_attention if device_type == "cpu" else torch.compile(flex_attention, dynamic=False)


def natten(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pattern: Neighbourhood, grid: Triple) -> torch.Tensor:
    """NATTEN's fused kernels, heads last. Never run here: the package has no build for a machine without a GPU."""
    na3d = resolve_name("natten:na3d")
    laid = (tensor.transpose(1, 2).reshape(tensor.shape[0], *grid, *tensor.shape[1::2]) for tensor in (q, k, v))
    own = {"kernel_size": pattern.window, "stride": pattern.stride, "dilation": pattern.dilation}
    attended: torch.Tensor = na3d(*laid, **own)
    return attended.flatten(1, 3).transpose(1, 2)


KERNELS: dict[str, Kernel] = {"dense": dense, "flex": flex, "natten": natten}


def _heads(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    return tokens.reshape(*tokens.shape[:2], heads, -1).transpose(1, 2)


def _rotated(tokens: torch.Tensor, frequencies: Any) -> torch.Tensor:
    if frequencies is None:
        return tokens
    turned: torch.Tensor = apply_rotary_emb(tokens, frequencies, use_real=True, use_real_unbind_dim=-2)
    return turned
