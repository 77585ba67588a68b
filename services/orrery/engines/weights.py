"""From a component's folder to a torch module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def computing_dtype(stored: torch.dtype, device: torch.device) -> torch.dtype:
    """The element type to compute in: as stored, but FP32 in place of FP16 on a processor, which would emulate it slowly."""
    return torch.float32 if device.type == "cpu" and stored is torch.float16 else stored


def load_module(cls: Any, folder: Path, device: torch.device) -> Any:
    """A diffusers model from `config.json` and every `*.safetensors` of `folder`, in the element type of `computing_dtype`.

    The module is laid out without memory and then given the stored tensors: no initialisation that is thrown away, never two
    copies of the weights, and no need of the `accelerate` package, which diffusers' own loader insists on for this class.
    """
    with torch.device("meta"):
        module = cls.from_config(cls.load_config(folder))
    weights: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        # Copies start at the allocator's alignment. Kernels round differently at another, and a file's layout decides nothing.
        stored = load_file(path, device=str(device)).items()
        weights |= {name: tensor.to(computing_dtype(tensor.dtype, device), copy=True) for name, tensor in stored}
    module.load_state_dict(weights, strict=True, assign=True)
    return module.eval().requires_grad_(False)
