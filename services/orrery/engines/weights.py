"""From a component's folder to a torch module."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from orrery.engines.placing import placing
from orrery.engines.reading import read_tensors
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.stored import weight_files, weights_of


def computing_dtype(stored: torch.dtype, device: torch.device) -> torch.dtype:
    """The element type to compute in: as stored, but FP32 in place of FP16 on a processor, which would emulate it slowly."""
    return torch.float32 if device.type == "cpu" and stored is torch.float16 else stored


def load_module(cls: Any, folder: Path, device: torch.device) -> Any:
    """A diffusers model from `config.json` and every `*.safetensors` of `folder`, in the element type of `computing_dtype`.

    Raises `ComponentUnusable` naming what is wrong with the files.
    """
    return load_part(lambda: cls.from_config(cls.load_config(folder)), folder, device)


def load_pretrained(cls: Any, folder: Path, device: torch.device) -> Any:
    """A transformers model, likewise."""
    return load_part(lambda: cls(cls.config_class.from_pretrained(folder, local_files_only=True)), folder, device)


Named = Callable[[str], str | None]
"""From the name of a stored tensor to the name that a module has for it; None for one that the module has not."""


def whole(name: str) -> str | None:
    """Everything that is stored is the module's, under the same name."""
    return name


@dataclass(frozen=True)
class Memory:
    """In bytes: of all weights of a component, and of the largest part of them that moves as one.

    Such a part is a block of a list, or a tensor that is in none.
    """

    total: int
    largest: int


def memory_of(folder: Path, device: torch.device, named: Named = whole) -> Memory:
    """What the component's weights, those that are `named`, take on `device`, by the headers of its files.

    Raises `ComponentUnusable`.
    """
    grown = 2 if computing_dtype(torch.float16, device) is torch.float32 else 1
    parts = Counter[str]()
    for tensor in weights_of(folder):
        if named(tensor.name) is not None:
            parts[_part(tensor.name)] += tensor.size * (grown if tensor.dtype == "F16" else 1)
    return Memory(total=parts.total(), largest=max(parts.values(), default=0))


def _part(name: str) -> str:
    """Up to its first number, which is that of a block; a name without one is a part of its own."""
    block = re.match(r".*?\.\d+\.", name)
    return block.group() if block else name


def load_part(make: Callable[[], Any], folder: Path, device: torch.device, named: Named = whole) -> Any:
    """The module that `make` makes, with the stored tensors that are `named`; others are not even read.

    It is laid out without memory for weights and then given them: no initialisation that is thrown away and never two copies.
    """
    current = placing()
    home = current.home or device

    def placed(tensor: torch.Tensor) -> torch.Tensor:
        # Copies start at the allocator's alignment. Kernels round differently at another, and a file's layout decides nothing.
        return tensor.to(home, computing_dtype(tensor.dtype, device), copy=True)

    module = _laid_out(make, folder)
    stored = read_tensors(weight_files(folder), placed, current.told, wanted=lambda name: named(name) is not None)
    _fill(module, {named(name) or name: tensor for name, tensor in stored.items()}, folder)
    # What no file has is as the constructor made it: tables that follow from the configuration.
    for buffer in module.buffers():
        buffer.data = buffer.data.to(home)
    current.networks.append(module)
    return module.eval().requires_grad_(False)


def _laid_out(make: Callable[[], Any], folder: Path) -> Any:
    try:
        with _parameters_without_memory():
            return make()
    except (OSError, ValueError, TypeError) as error:
        raise ComponentUnusable(f"{folder}: no usable config.json: {error}") from error


_LAYING_OUT = Lock()


@contextmanager
def _parameters_without_memory() -> Iterator[None]:
    """Meanwhile the parameters of every module that is made have shapes only, in the whole process. Buffers are real."""

    def forget(_module: torch.nn.Module, _name: str, parameter: torch.nn.Parameter | None) -> Any:
        if parameter is None or parameter.is_meta:
            return parameter
        return torch.nn.Parameter(parameter.detach().to("meta"), requires_grad=False)

    with _LAYING_OUT:
        handle = register_module_parameter_registration_hook(forget)
        try:
            yield
        finally:
            handle.remove()


def _fill(module: Any, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Every parameter gets its tensor, and no tensor is left over but those that the class says it ignores."""
    try:
        unexpected = module.load_state_dict(weights, strict=False, assign=True).unexpected_keys
    except RuntimeError as error:  # of shapes
        raise ComponentUnusable(f"{folder}: {error}") from error
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    missing = sorted({name for name, parameter in module.named_parameters() if parameter.is_meta})
    ignored = getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ()
    strangers = sorted(name for name in unexpected if not any(re.search(pattern, name) for pattern in ignored))
    for names, what in ((missing, "lacks"), (strangers, "has tensors that the network has not:")):
        if names:
            raise ComponentUnusable(f"{folder}: {what} {', '.join(names[:3])}{' and more' if names[3:] else ''}")
