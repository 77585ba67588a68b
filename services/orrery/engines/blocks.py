"""Block masks of neighbourhoods for torch's FlexAttention, made so that blocks hold tokens that look alike.

FlexAttention leaves out blocks of 128 queries by 128 keys that have no pair. Row by row a window is in many blocks, so tokens
are put in tiles of 4 frames, 4 rows and 8 columns, and those of one residue of a dilation beside each other. The released
patterns then need no more blocks than their windows are large, and none of them in part. The mask is that of its axes
together, so what a block holds is known from the tiles along each axis alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask

from orrery.worlds.neighbourhoods import Triple

TILE: Triple = (4, 4, 8)
BLOCK = TILE[0] * TILE[1] * TILE[2]

Axes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""BOOL [length, length] for frames, rows and columns: whether the first attends to the second."""


@dataclass(frozen=True)
class Tiled:
    """`order` are the tokens of the grid, row by row, in the order of tiles; `inverse` leads back."""

    order: torch.Tensor
    inverse: torch.Tensor
    mask: BlockMask


def divides(grid: Triple) -> bool:
    """Whether the grid is of whole tiles."""
    return all(side % tile == 0 for side, tile in zip(grid, TILE, strict=True))


def by_residue(length: int, dilation: int) -> torch.Tensor:
    """The places along an axis, those `dilation` apart after one another."""
    return torch.tensor(sorted(range(length), key=lambda place: (place % dilation, place)))


def tiled(axes: Axes, dilation: Triple, grid: Triple) -> Tiled:
    """For a grid of whole tiles, on the device of the axes' masks."""
    device = axes[0].device
    places = [by_residue(length, apart).to(device) for length, apart in zip(grid, dilation, strict=True)]
    sorted_axes = [axis[place][:, place] for axis, place in zip(axes, places, strict=True)]
    order = _in_tiles((places[0][:, None, None] * grid[1] + places[1][:, None]) * grid[2] + places[2])
    return Tiled(order, order.argsort(), _block_mask(sorted_axes, grid))


def _in_tiles(tokens: torch.Tensor) -> torch.Tensor:
    cut = [part for side, tile in zip(tokens.shape, TILE, strict=True) for part in (side // tile, tile)]
    return tokens.reshape(cut).permute(0, 2, 4, 1, 3, 5).reshape(-1)


def _block_mask(axes: list[torch.Tensor], grid: Triple) -> BlockMask:
    tiles = [axis.reshape(len(axis) // tile, tile, len(axis) // tile, tile) for axis, tile in zip(axes, TILE, strict=True)]
    some = reduce(_together, [one.any(3).any(1) for one in tiles])
    full = reduce(_together, [one.all(3).all(1) for one in tiles])
    tokens = grid[0] * grid[1] * grid[2]
    return BlockMask.from_kv_blocks(
        *_listed(some & ~full),
        *_listed(full),
        BLOCK_SIZE=BLOCK,
        mask_mod=_pairs(axes, grid),
        seq_lengths=(tokens, tokens),
    )


def _together(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Of two axes, whether both hold, for each pair of places on both: the first axis varies slowest."""
    both = one[:, None, :, None] & other[None, :, None, :]
    return both.reshape(len(one) * len(other), -1)


def _listed(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each row, how many blocks there are and which, as FlexAttention takes it: INT32 [1, 1, n] and [1, 1, n, n]."""
    which = blocks.int().argsort(dim=1, descending=True, stable=True)
    return blocks.sum(dim=1, dtype=torch.int32)[None, None], which.int()[None, None]


def _pairs(axes: list[torch.Tensor], grid: Triple) -> Any:
    """FlexAttention's question about one pair of tokens, by their places in the order of tiles."""
    frames, rows, columns = axes
    _, down, across = (side // tile for side, tile in zip(grid, TILE, strict=True))

    def place(index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        tile, inside = index // BLOCK, index % BLOCK
        return (
            tile // (down * across) * TILE[0] + inside // (TILE[1] * TILE[2]),
            tile // across % down * TILE[1] + inside // TILE[2] % TILE[1],
            tile % across * TILE[2] + inside % TILE[2],
        )

    def attends(batch: Any, head: Any, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
        (qt, qh, qw), (kt, kh, kw) = place(query), place(key)
        return frames[qt, kt] & rows[qh, kh] & columns[qw, kw]

    return attends
