"""From a component's folder to a torch module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def load_module(cls: Any, folder: Path, device: torch.device) -> Any:
    """A diffusers model from `config.json` and every `*.safetensors` of `folder`, in the element type it is stored in.

    The module is laid out without memory and then given the stored tensors: no initialisation that is thrown away, never two
    copies of the weights, and no need of the `accelerate` package, which diffusers' own loader insists on for this class.
    """
    with torch.device("meta"):
        module = cls.from_config(cls.load_config(folder))
    weights: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        # Copies start at the allocator's alignment. Kernels round differently at another, and a file's layout decides nothing.
        weights |= {name: tensor.clone() for name, tensor in load_file(path, device=str(device)).items()}
    module.load_state_dict(weights, strict=True, assign=True)
    return module.eval().requires_grad_(False)
