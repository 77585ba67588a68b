"""LoRAs beside the components that an Orrery serves: one for the tiny world's network, one for a wider one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from orrery.worlds.components import ComponentKind, write_manifest

INK, WIDE = "tiny-ink", "wide-ink"
WIDTHS = {INK: 32, WIDE: 48}
RANK = 4


def with_loras(models_dir: Path, folder: Path) -> Path:
    """`folder` has the components of `models_dir`, which stays as it is, and the LoRAs."""
    for component in models_dir.iterdir():
        (folder / component.name).symlink_to(component)
    for name, width in WIDTHS.items():
        _write(folder / name, width)
    return folder


def _write(folder: Path, width: int) -> None:
    folder.mkdir()
    draw = np.random.RandomState(3).standard_normal
    pairs = {"lora_A": (RANK, width), "lora_B": (width, RANK)}
    names = [f"transformer.transformer_blocks.{block}.attn{which}.to_q" for block in (0, 1) for which in (1, 2)]
    layers = {f"{name}.{side}.weight": draw(shape).astype(np.float32) for name in names for side, shape in pairs.items()}
    save_file(layers, folder / "pytorch_lora_weights.safetensors")
    write_manifest(folder, ComponentKind.LORA)
