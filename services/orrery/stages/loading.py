"""Components in memory: found by name under `models_dir`, verified, loaded once.

A component is a folder as diffusers or transformers save one model (`config.json` and safetensors, sharded or not), plus
`component.json`. A text encoder's tokenizer lies in its subfolder `tokenizer/`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

import torch

from orrery.stages.stage import StageSettings
from orrery.worlds.components import ComponentKind, read_manifest, verify
from orrery.worlds.errors import ComponentUnusable

Loaded = TypeVar("Loaded")


class ComponentCache(Generic[Loaded]):
    """Components of one kind. `load` makes one from its folder on a device; those to preload are loaded at once."""

    def __init__(self, settings: StageSettings, kind: ComponentKind, load: Callable[[Path, torch.device], Loaded]):
        configure_torch(settings.threads)
        self.device = torch.device(settings.device)
        self._models_dir = settings.models_dir
        self._kind = kind
        self._load = load
        self._loaded: dict[str, Loaded] = {}
        for name in settings.preload:
            # One list may serve all stages of a server: each takes what is of its kind.
            if read_manifest(self._models_dir / name).kind is kind:
                self[name]

    def __getitem__(self, name: str) -> Loaded:
        """Raises `ComponentUnusable` if there is no such component, it is of another kind, or its files have changed."""
        if name not in self._loaded:
            self._loaded[name] = self._load(self._checked_folder(name), self.device)
        return self._loaded[name]

    def _checked_folder(self, name: str) -> Path:
        folder = self._models_dir / name
        if Path(name).name != name or not folder.is_dir():
            raise ComponentUnusable(f"there is no component {name!r}")
        kind = read_manifest(folder).kind
        if kind is not self._kind:
            raise ComponentUnusable(f"component {name} is a {kind}, not a {self._kind}")
        verify(folder)
        return folder


@cache
def configure_torch(threads: int | None) -> None:
    """Same input, same bytes: kernels are chosen by rule and not by trial.

    `threads` per process, None for torch's choice, which is the machine's: sums split among other threads round differently,
    so equal bytes on two machines need equal `threads`.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if threads is not None:
        torch.set_num_threads(threads)
