"""What the safetensors files of a component hold, by their headers: no tensor is read, and no torch is needed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from orrery.worlds.errors import ComponentUnusable


@dataclass(frozen=True)
class Stored:
    """A tensor in a file; `dtype` is the format's own name of its element type, `size` is in bytes."""

    name: str
    dtype: str
    size: int


def weight_files(folder: Path) -> list[Path]:
    """Of a component, sorted; files in its subfolders are no weights of it."""
    return sorted(folder.glob("*.safetensors"))


def stored_in(path: Path) -> tuple[Stored, ...]:
    """In the order of the data. Raises `ComponentUnusable` for a file without such a header.

    The format: https://huggingface.co/docs/safetensors, eight bytes of length before a JSON object.
    """
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        places = {name: one for name, one in header.items() if name != "__metadata__"}
        ordered = sorted(places, key=lambda name: places[name]["data_offsets"])
        return tuple(Stored(name, places[name]["dtype"], _length(*places[name]["data_offsets"])) for name in ordered)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError) as error:
        raise ComponentUnusable(f"{path}: no safetensors file: {error}") from error


def _length(begin: int, end: int) -> int:
    return end - begin


def weights_of(folder: Path) -> tuple[Stored, ...]:
    """Of all files of a component."""
    return tuple(tensor for path in weight_files(folder) for tensor in stored_in(path))
