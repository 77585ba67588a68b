"""LoRA: low-rank changes of a network's linear layers, computed beside its weights and never written into them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch.nn.functional import linear

from orrery.engines.placing import placing
from orrery.engines.reading import read_tensors
from orrery.engines.weights import computing_dtype
from orrery.worlds.components import LORA_FILES
from orrery.worlds.errors import ComponentUnusable

ROOTS = ("transformer.", "base_model.model.")
"""What diffusers' pipelines and PEFT put before the name of a layer; diffusers' models put nothing."""
TOLD = "lora_adapter_metadata"
"""Under this name diffusers keeps PEFT's configuration in the file itself."""
_MATRIX = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])(\.default)?\.weight")

Hook = Callable[[torch.nn.Module, tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Change:
    """Of one layer: `scale` up down x is added to what it answers. `down` is [rank, in], `up` [out, rank]."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float

    def hook(self, strength: float, dtype: torch.dtype) -> Hook:
        """What a layer of this element type is to do after its own work. PEFT multiplies and adds in the same order."""
        down, up, scale = self.down.to(dtype), self.up.to(dtype), self.scale * strength

        def add(_layer: torch.nn.Module, args: tuple[torch.Tensor, ...], answer: torch.Tensor) -> torch.Tensor:
            return answer + linear(linear(args[0], down), up) * scale

        return add


class Lora:
    """A LoRA from its folder, in the format of diffusers or of PEFT.

    Only linear layers can be changed, which is all that either format has of a transformer of Cosmos. Raises
    `ComponentUnusable` for anything else in the file: none of it would be left out unsaid.
    """

    def __init__(self, folder: Path, device: torch.device):
        path = _file_of(folder)
        home = placing().home or device
        tensors = read_tensors(
            [path], lambda tensor: tensor.to(home, computing_dtype(tensor.dtype, device), copy=True), placing().told
        )
        self.name = folder.name
        # Parameters, so that whoever moves the weights of components knows these too.
        matrices = {key: torch.nn.Parameter(tensor, requires_grad=False) for key, tensor in tensors.items()}
        placing().networks.append(torch.nn.ParameterList(matrices.values()))
        self._changes = _changes(path, matrices)

    @contextmanager
    def applied(self, network: torch.nn.Module, strength: float) -> Iterator[None]:
        """Meanwhile the network is changed, by `strength` times what the LoRA says. Afterwards it is what it was.

        Raises `ComponentUnusable` naming a layer that the network has not, or has in another shape, and changes nothing.
        """
        modules = dict(network.named_modules())
        layers = {name: self._layer(modules.get(name), name, change) for name, change in self._changes.items()}
        handles = [
            layer.register_forward_hook(self._changes[name].hook(strength, layer.weight.dtype))
            for name, layer in layers.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _layer(self, found: torch.nn.Module | None, name: str, change: Change) -> torch.nn.Linear:
        if not isinstance(found, torch.nn.Linear):
            raise ComponentUnusable(f"LoRA {self.name} is for another network: this one has no linear layer {name}")
        wanted = change.up.shape[0], change.down.shape[1]
        if tuple(found.weight.shape) != wanted:
            raise ComponentUnusable(
                f"LoRA {self.name} is for another network: {name} is {[*found.weight.shape]}, not {[*wanted]}"
            )
        return found


def _file_of(folder: Path) -> Path:
    found = [folder / name for name in LORA_FILES if (folder / name).is_file()]
    if len(found) != 1:
        raise ComponentUnusable(f"{folder}: a LoRA has one of {', '.join(LORA_FILES)}, this folder {len(found)}")
    return found[0]


def _changes(path: Path, matrices: Mapping[str, torch.Tensor]) -> dict[str, Change]:
    sides: dict[str, dict[str, torch.Tensor]] = {}
    for key, matrix in matrices.items():
        root = next((root for root in ROOTS if key.startswith(root)), "")
        match = _MATRIX.fullmatch(key.removeprefix(root))
        if match is None or matrix.ndim != 2:
            raise ComponentUnusable(f"{path}: {key} is no matrix of a LoRA of a linear layer")
        sides.setdefault(match["layer"], {})[match["side"]] = matrix
    scale_of = _scales(_configuration(path))
    return {layer: _change(path, layer, pair, scale_of) for layer, pair in sides.items()}


def _change(path: Path, layer: str, pair: Mapping[str, torch.Tensor], scale_of: Callable[[str, int], float]) -> Change:
    if pair.keys() != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
        raise ComponentUnusable(f"{path}: {layer} wants two matrices, lora_A and lora_B, of one rank")
    return Change(down=pair["A"], up=pair["B"], scale=scale_of(layer, pair["A"].shape[0]))


def _scales(told: Mapping[str, Any]) -> Callable[[str, int], float]:
    """The factor of a layer with its rank: alpha / rank, or alpha / sqrt(rank) if it is stabilised. Without an alpha it is 1.

    Patterns are PEFT's: the end of a layer's name, after a dot, may have an alpha of its own.
    """
    alphas: Mapping[str, float] = told.get("alpha_pattern") or {}
    stabilised = bool(told.get("use_rslora", False))

    def scale(layer: str, rank: int) -> float:
        own = (alpha for pattern, alpha in alphas.items() if re.match(rf"(.*\.)?({pattern})$", layer))
        alpha = next(own, told.get("lora_alpha", rank))
        return float(alpha) / (math.sqrt(rank) if stabilised else rank)

    return scale


def _configuration(path: Path) -> Mapping[str, Any]:
    """PEFT's, from `adapter_config.json` beside its own format, or as diffusers keeps it, if it does. Else empty."""
    own = path.with_name("adapter_config.json")
    try:
        if own.is_file():
            found = json.loads(own.read_text())
        else:
            with safe_open(path, framework="pt") as file:
                kept = json.loads((file.metadata() or {}).get(TOLD, "{}"))
            found = {key.removeprefix(ROOTS[0]): value for key, value in kept.items()}
    except ValueError as error:
        raise ComponentUnusable(f"{path}: its configuration is no JSON: {error}") from error
    if not isinstance(found, dict) or found.get("peft_type", "LORA") != "LORA":
        raise ComponentUnusable(f"{path}: its configuration is not that of a LoRA")
    return found
