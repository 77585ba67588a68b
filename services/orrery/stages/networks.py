"""Transformers in this process, with or without a LoRA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from orrery.engines.eager import EagerEngine, transformer_name
from orrery.engines.lora import Lora
from orrery.stages.loading import ComponentCache
from orrery.stages.residency import Room
from orrery.stages.stage import MemoryMode, StageSettings, Values
from orrery.worlds.components import ComponentKind, read_manifest


@dataclass(frozen=True)
class Network:
    """Which network a task wants: a component, changed by `lora_scale` times a LoRA if there is one."""

    component: str
    lora: str | None
    lora_scale: float

    @classmethod
    def of(cls, values: Values) -> Network:
        return cls(values["component"], values.get("lora"), values.get("lora_scale", 1.0))

    def fingerprint(self, models_dir: Path) -> str:
        """Of all files that it is made of."""
        names = [self.component] if self.lora is None else [self.component, self.lora]
        return "+".join(read_manifest(models_dir / name).fingerprint for name in names)


class Networks:
    """Transformers are loaded once and serve with any LoRA, which is loaded when it is first asked for."""

    def __init__(self, settings: StageSettings):
        room = Room(settings.device_bytes)
        load = partial(EagerEngine, shortcuts=settings.shortcuts)
        self._engines = ComponentCache(settings, ComponentKind.TRANSFORMER, load, room, transformer_name)
        # A LoRA has no layers of its own that could come one by one.
        memory = MemoryMode.RESIDENT if settings.memory is MemoryMode.RESIDENT else MemoryMode.CPU_OFFLOAD
        self._loras = ComponentCache(replace(settings, preload=(), memory=memory), ComponentKind.LORA, Lora, room)
        self.device = self._engines.device

    @contextmanager
    def use(self, network: Network) -> Iterator[EagerEngine]:
        """See `ComponentCache.use`. Raises `ComponentUnusable` for a LoRA that does not fit the component, too."""
        with self._engines.use(network.component) as engine, _afresh(engine):
            if network.lora is None:
                yield engine
                return
            with self._loras.use(network.lora) as lora, lora.applied(engine.network, network.lora_scale):
                yield engine


@contextmanager
def _afresh(engine: EagerEngine) -> Iterator[None]:
    """What the engine keeps is of one job, under one LoRA or none."""
    engine.forget()
    try:
        yield
    finally:
        engine.forget()
