"""Components in memory: found by name under `models_dir`, verified, loaded once, and given up for others where room is bounded.

A component is a folder as diffusers or transformers save one model (`config.json` and safetensors, sharded or not), plus
`component.json`. A text encoder's tokenizer lies in its subfolder `tokenizer/`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

import torch

from orrery.engines.placing import Placing, placed
from orrery.engines.weights import Named, memory_of, whole
from orrery.stages.residency import MODES, Presence, Room
from orrery.stages.stage import StageSettings
from orrery.worlds.components import ComponentKind, read_manifest, verify
from orrery.worlds.errors import ComponentUnusable

Loaded = TypeVar("Loaded")

log = logging.getLogger("orrery.stage")

PROGRESS_SECONDS = 5.0


@dataclass(frozen=True)
class Held(Generic[Loaded]):
    """A component in memory."""

    component: Loaded
    presence: Presence


class ComponentCache(Generic[Loaded]):
    """Components of one kind. `load` makes one from its folder, to compute on a device; those to preload are loaded at once.

    `room` is the stage's memory on the device, for stages that have components of several kinds. `named` are the stored tensors
    that `load` takes.
    """

    def __init__(
        self,
        settings: StageSettings,
        kind: ComponentKind,
        load: Callable[[Path, torch.device], Loaded],
        room: Room | None = None,
        named: Named = whole,
    ):
        configure_torch(settings.threads)
        self.device = torch.device(settings.device)
        self._models_dir = settings.models_dir
        self._kind = kind
        self._load = load
        self._named = named
        self._mode = MODES[settings.memory]
        self._room = room or Room(settings.device_bytes)
        self._held: dict[str, Held[Loaded]] = {}
        # One list may serve all stages of a server: each takes what is of its kind.
        self._preload([name for name in settings.preload if read_manifest(self._models_dir / name).kind is kind])

    @contextmanager
    def use(self, name: str) -> Iterator[Loaded]:
        """The component, able to compute. Nothing else makes it leave the device meanwhile.

        Raises `ComponentUnusable` if there is no such component, it is of another kind, or its files have changed, and
        `DeviceFull` with the numbers if its weights do not fit, before any of them is loaded.
        """
        size = self._size(name)

        def forget() -> None:
            self._held.pop(name, None)

        with self._room.claimed(name, size, forget, stays=lambda: self._mode.stays and name in self._held):
            if name not in self._held:
                self._held[name] = self._verified(name)
            held = self._held[name]
            with held.presence():
                yield held.component

    def _preload(self, names: list[str]) -> None:
        """Raises `DeviceFull` for one that would never fit. What does not fit beside the others comes when it is asked for."""
        for name in names:
            self._room.hold(name, self._size(name))
        for name in names:
            if self._room.has(self._size(name)):
                with self.use(name):
                    continue
            log.info("%s does not fit beside what is loaded: it will be loaded when it is asked for", name)

    def _size(self, name: str) -> int:
        memory = memory_of(self._folder(name), self.device, self._named)
        return self._mode.share(memory.total, memory.largest)

    def _folder(self, name: str) -> Path:
        folder = self._models_dir / name
        if Path(name).name != name or not folder.is_dir():
            raise ComponentUnusable(f"there is no component {name!r}")
        kind = read_manifest(folder).kind
        if kind is not self._kind:
            raise ComponentUnusable(f"component {name} is a {kind}, not a {self._kind}")
        return folder

    def _verified(self, name: str) -> Held[Loaded]:
        """Loads while the digests of all files are computed: both read the same bytes, of which the disk gives one copy."""
        folder = self._folder(name)
        with ThreadPoolExecutor(1) as beside, torch.inference_mode(mode=False):
            digests = beside.submit(verify, folder)
            try:
                held = self._made(folder)
            except Exception as error:
                digests.result()  # a file that has changed is the better reason
                if isinstance(error, OSError | ValueError):
                    raise ComponentUnusable(f"{folder}: {error}") from error
                raise
            digests.result()
        return held

    def _made(self, folder: Path) -> Held[Loaded]:
        with placed(Placing(home=self._mode.home, told=Progress(folder.name))) as placing:
            component = self._load(folder, self.device)
        return Held(component, self._mode.settle(placing.networks, self.device))


@dataclass
class Progress:
    """Says every few seconds how much of a component is loaded: what takes no time is not spoken of."""

    name: str
    clock: Callable[[], float] = time.monotonic
    every: float = PROGRESS_SECONDS
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def __call__(self, done: int, total: int) -> None:
        now = self.clock()
        if now - self._last >= self.every:
            self._last = now
            log.info("%s: %.2f of %.2f GB loaded", self.name, done / 1e9, total / 1e9)


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
