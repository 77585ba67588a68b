"""Attention within neighbourhoods, as data: which of the networks' layers look how far. No torch.

As `configs/base/config_natten.py` of cosmos-predict2 has it. Sizes are of the grid of tokens (frames, rows, columns), which are
patches of 1 x 2 x 2 latents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.plan import Frozen

Triple = tuple[int, int, int]

WHOLE = -1
"""The whole of an axis."""
BASE: Triple = (WHOLE, 44, 80)
"""The grid that windows, strides and dilations are meant for: 720p at 16:9."""


class Neighbourhood(Frozen):
    """What a token attends to along each axis.

    A `window` of so many tokens around it, `dilation` apart, shifted inwards at the borders. Tokens of a group of `stride`
    share the window of the one in their middle.
    """

    window: Triple
    stride: Triple = (1, 1, 1)
    dilation: Triple = (1, 1, 1)


SPARSE_98 = Neighbourhood(window=(WHOLE, 4, 16), dilation=(1, 11, 5))
SPARSE_95 = Neighbourhood(window=(WHOLE, 12, 16), stride=(1, 4, 1), dilation=(1, 1, 5))
SPARSE_92 = Neighbourhood(window=(WHOLE, 12, 24), stride=(1, 4, 8))
SPARSE_77 = Neighbourhood(window=(WHOLE, 20, 40), stride=(1, 4, 8))
SPARSE_55 = Neighbourhood(window=(WHOLE, 28, 56), stride=(1, 4, 8))
"""By the share of pairs of tokens that is left out at the base size, in percent."""
DENSE = None

Layers = tuple[Neighbourhood | None, ...]

TABLES: dict[str, Layers] = {
    "predict2-2b": (
        *(SPARSE_98, SPARSE_98, SPARSE_95, SPARSE_92, SPARSE_92, SPARSE_95),
        *(SPARSE_92, SPARSE_92, SPARSE_92, SPARSE_92, SPARSE_95),
        *(SPARSE_77,) * 12,
        *(SPARSE_55, SPARSE_77, SPARSE_77, SPARSE_77, SPARSE_92),
    ),
    "predict2-14b": (
        *(SPARSE_98,) * 11,
        *(SPARSE_95,) * 2,
        *(SPARSE_92,) * 10,
        *(SPARSE_77, SPARSE_55, SPARSE_77, SPARSE_55, DENSE, SPARSE_55, SPARSE_77, SPARSE_77),
        *(SPARSE_55, SPARSE_55, SPARSE_77, SPARSE_55, SPARSE_77),
    ),
    "tiny": (SPARSE_95, SPARSE_92),
}
"""By name, one entry for each layer, the first first; None is a layer in which all attends to all."""

CONFIG_KEY = "neighbourhoods"
"""Where the `config.json` of a transformer names its table: tensors do not tell that a network was trained so."""


def layers_of(name: str, config: Mapping[str, Any], expected: str | None) -> Layers | None:
    """The table that the `config.json` of the transformer `name` is marked with; None for a network without.

    `expected` is what the catalog says of the component. Raises `ComponentUnusable` where the two differ, or there is no such
    table, or it is of a network of another depth: nothing is run in another way than it was trained for.
    """
    marked = config.get(CONFIG_KEY)
    if marked != expected:
        raise ComponentUnusable(f"component {name} is to be run with {CONFIG_KEY} {expected}; its config.json says {marked}")
    if marked is None:
        return None
    if marked not in TABLES:
        raise ComponentUnusable(f"component {name}: there are no {CONFIG_KEY} {marked!r}, only {', '.join(TABLES)}")
    if len(TABLES[marked]) != config["num_layers"]:
        told = f"{len(TABLES[marked])} layers, and the network has {config['num_layers']}"
        raise ComponentUnusable(f"component {name}: the {CONFIG_KEY} {marked!r} are of {told}")
    return TABLES[marked]


def mark(config: Path, table: str | None) -> None:
    """Writes the name of the table into a `config.json`, where there is one."""
    if table is not None:
        told = json.loads(config.read_text()) | {CONFIG_KEY: table}
        config.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")


def adapted(pattern: Neighbourhood, grid: Triple) -> Neighbourhood:
    """The pattern for a grid of another size than the base: windows, strides and dilations grow and shrink with it.

    As `get_adaptive_parameters` of the official `NeighborhoodAttention`: rounded to the nearest, a window of at least 2 and at
    most the axis, a stride of at most the window, and a dilation that the window still fits the axis with.
    """
    sides = [
        _adapted_side(*values) for values in zip(grid, BASE, pattern.window, pattern.stride, pattern.dilation, strict=True)
    ]
    window, stride, dilation = zip(*sides, strict=True)
    return Neighbourhood(window=window, stride=stride, dilation=dilation)


def _adapted_side(length: int, base: int, window: int, stride: int, dilation: int) -> Triple:
    scale = 1.0 if base == WHOLE else length / base
    wide = min(max(2, round((length if window == WHOLE else window) * scale)), length)
    return wide, min(max(1, round(stride * scale)), wide), min(max(1, round(dilation * scale)), length // wide)
