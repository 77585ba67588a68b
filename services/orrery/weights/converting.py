"""A released `.pt` file becomes a component in diffusers' layout."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import CosmosTransformer3DModel
from safetensors.torch import save_file

from orrery.weights.errors import CheckpointUnknown, NoSpace
from orrery.weights.manifests import move_in
from orrery.weights.released import VARIANTS, Variant, plain, released_as, variant_of
from orrery.worlds.catalog.components import COMPONENTS
from orrery.worlds.components import ComponentKind, ComponentManifest
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.neighbourhoods import mark

STAGING = ".convert"
NESTS = ("model", "module", "state_dict")
WEIGHTS = "diffusion_pytorch_model.safetensors"
CONFIG = "config.json"
SPARSE = "natten"
"""In the name of a file whose network attends to neighbourhoods."""


def convert(
    path: Path,
    name: str,
    models_dir: Path,
    *,
    variants: Mapping[str, Variant] = VARIANTS,
    source: str | None = None,
    say: Callable[[str], None],
) -> ComponentManifest:
    """Writes the component `name` of `models_dir` from a released file, whole or not at all.

    `source` is where its manifest says it came from, the file's name if None.

    Raises `CheckpointUnknown` for a file that is not to be read, or is no known network, or another than the component's;
    `NoSpace`; `ComponentUnusable` where the component is there already, or its name is none.
    """
    folder = models_dir / name
    if Path(name).name != name or folder.exists():
        raise ComponentUnusable(f"{folder} is there already" if folder.exists() else f"{name!r} cannot name a component")
    tensors = read(path)
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    variant = variant_of(path.name, shapes, variants.values())
    if variants.get(name, variant) != variant:
        raise CheckpointUnknown(f"{path.name} is {variant.name}; {name} is {variants[name].name}")
    _hold_name(path.name, name, variant, variants)
    table = _neighbourhoods(path.name, name, variant)
    module = _laid_out(variant)
    variant.hold(path.name, shapes, {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()})
    say(f"{path.name} is {variant.name}{', of neighbourhoods' if table is not None else ''}")
    staging = models_dir / STAGING / name
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    module.save_config(staging)
    mark(staging / CONFIG, table)
    weights = {variant.generation.renamed(key): tensor.contiguous() for key, tensor in tensors.items()}
    needed, free = sum(tensor.nbytes for tensor in weights.values()), shutil.disk_usage(staging).free
    if needed > free:
        raise NoSpace(f"{name} needs {needed} bytes in {models_dir}, which has {free}")
    save_file(weights, staging / WEIGHTS, metadata={"format": "pt"})
    return move_in(staging, folder, ComponentKind.TRANSFORMER, source=source or path.name, say=say)


def _hold_name(file: str, name: str, variant: Variant, variants: Mapping[str, Variant]) -> None:
    """Raises `CheckpointUnknown` for a file that by its name is another component of the table than `name`."""
    meant = released_as(file, variant, variants)
    if meant not in (None, name) and name in variants:
        raise CheckpointUnknown(f"{file} was released as {meant}, which has the tensors of {name} and is to be run otherwise")


def _neighbourhoods(file: str, name: str, variant: Variant) -> str | None:
    """The table that the network is to be run with, by the component's name or the file's; None for a dense one."""
    known = COMPONENTS.get(name)
    if known is not None:
        return known.neighbourhoods
    if SPARSE not in file.lower():
        return None
    if variant.neighbourhoods is None:
        raise CheckpointUnknown(f"{file}: by its name it attends to neighbourhoods; none are known of {variant.name}")
    return variant.neighbourhoods


def _laid_out(variant: Variant) -> Any:
    """The network without memory."""
    with torch.device("meta"):
        return CosmosTransformer3DModel(**variant.config)


def read(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a file by their plain names. Nothing in it is run: only tensors and plain values are read.

    Raises `CheckpointUnknown` for a file that holds anything else.
    """
    if not path.is_file():
        raise CheckpointUnknown(f"there is no file {path}")
    try:
        # Bytes of other libraries lie beside the weights, in a buffer that does nothing when it is made.
        with torch.serialization.safe_globals([io.BytesIO]):
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointUnknown(
            f"{path.name} holds more than tensors, or is no PyTorch file; nothing of it was run: {reason}"
        ) from error
    state = _unnested(path.name, loaded)
    named = {name: value for key, value in state.items() if (name := plain(key)) is not None}
    stranger = next((name for name, value in named.items() if not isinstance(value, torch.Tensor)), None)
    if stranger is not None:
        raise CheckpointUnknown(f"{path.name}: {stranger} is a {type(named[stranger]).__name__}; expected was a tensor")
    return named


def _unnested(file: str, loaded: Any) -> dict[str, Any]:
    """The state itself, however deep it lies."""
    while isinstance(loaded, dict) and (nest := next((name for name in NESTS if isinstance(loaded.get(name), dict)), None)):
        loaded = loaded[nest]
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise CheckpointUnknown(f"{file} is no state of a network: names and tensors were expected")
    return loaded
