"""Where the weights of components are while they are not computed with, and how much of them a device holds at a time."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from orrery.stages.stage import MemoryMode
from orrery.worlds.errors import DeviceFull, StageBroken

log = logging.getLogger("orrery.stage")

CPU = torch.device("cpu")
Networks = Sequence[torch.nn.Module]
Presence = Callable[[], AbstractContextManager[None]]
"""Inside of what it gives, a component can compute."""


@dataclass(frozen=True)
class Mode:
    """`home` is where weights are loaded to, None for the device that computes; `settle` is called once they are there.

    `share` is how much of the weights' bytes, of which the largest block has `largest`, the device holds while they are
    computed with. If they `stay`, it holds them afterwards too.
    """

    home: torch.device | None
    settle: Callable[[Networks, torch.device], Presence]
    share: Callable[[int, int], int]
    stays: bool


def _resident(_networks: Networks, _device: torch.device) -> Presence:
    return nullcontext


def _cpu_offload(networks: Networks, device: torch.device) -> Presence:
    """The weights are copied to the device and forgotten there: they never change, so nothing is copied back."""
    rests = [(tensor, _at_hand(tensor.data, device)) for network in networks for tensor in tensors_of(network)]

    @contextmanager
    def present() -> Iterator[None]:
        try:
            for tensor, rest in rests:
                tensor.data = rest.to(device, non_blocking=rest.is_pinned(), copy=True)
            yield
        finally:
            for tensor, rest in rests:
                tensor.data = rest

    return present


def _layerwise(networks: Networks, device: torch.device) -> Presence:
    """Group offloading of diffusers: a block of layers, or a layer, is on the device while it computes.

    The next block comes while one computes, in a stream of its own, where the network names its blocks: then its layers are
    known to run in the same order every time.
    """
    # Imported by whoever wants it: it takes a second or two, of every stage of every server.
    from diffusers.hooks import apply_group_offloading

    for network in networks:
        blocks = has_blocks(network)
        level = "block_level" if blocks else "leaf_level"
        streams = blocks and device.type == "cuda"
        apply_group_offloading(network, device, CPU, level, num_blocks_per_group=1 if blocks else None, use_stream=streams)
    return nullcontext


MODES: Mapping[MemoryMode, Mode] = {
    MemoryMode.RESIDENT: Mode(home=None, settle=_resident, share=lambda size, _largest: size, stays=True),
    MemoryMode.CPU_OFFLOAD: Mode(home=CPU, settle=_cpu_offload, share=lambda size, _largest: size, stays=False),
    # One that computes and one that comes: the least that it can be.
    MemoryMode.LAYERWISE: Mode(home=CPU, settle=_layerwise, share=lambda size, largest: min(size, 2 * largest), stays=False),
}


def tensors_of(network: torch.nn.Module) -> list[torch.Tensor]:
    """Parameters and buffers, each once."""
    return list(dict.fromkeys([*network.parameters(), *network.buffers()]))


def has_blocks(network: Any) -> bool:
    """Whether diffusers can tell the network's blocks: it lists them, or they are a list of its own."""
    listed = getattr(network, "_group_offload_block_modules", None) is not None
    return listed or any(isinstance(child, torch.nn.ModuleList) for child in network.children())


def _at_hand(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A GPU copies from pinned memory without the processor's help."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


@dataclass(frozen=True)
class Claim:
    """`size` bytes of a device; `forget` gives them back."""

    size: int
    forget: Callable[[], None]


class Room:
    """Device memory for the weights of one stage: `limit` bytes, None for no bound.

    What is not in use is given up for what is wanted, the least recently used first. Sizes are as declared, by the headers of
    the files: nothing has to be tried to know that it does not fit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._kept: dict[str, Claim] = {}
        self._used: dict[str, Claim] = {}

    def hold(self, name: str, size: int) -> None:
        """Raises `DeviceFull` if it could not fit even alone."""
        if self._limit is not None and size > self._limit:
            raise self._refusal(name, size)

    def has(self, size: int) -> bool:
        """Whether so much is free, with nothing given up."""
        return self._limit is None or self._taken + size <= self._limit

    @contextmanager
    def claimed(self, name: str, size: int, forget: Callable[[], None], stays: Callable[[], bool]) -> Iterator[None]:
        """The memory is free, or the component's already. It stays taken afterwards if it `stays`. Raises `DeviceFull`."""
        self._kept.pop(name, None)
        self._make_room(name, size)
        self._used[name] = Claim(size, forget)
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise self._refusal(name, size, f"the device has no more memory ({str(error).splitlines()[0]})") from error
        except torch.AcceleratorError as error:
            # CUDA answers every later call of the process with the same error.
            raise StageBroken(f"{name}: the device is lost to this process ({str(error).splitlines()[0]})") from error
        finally:
            claim = self._used.pop(name)
            if stays():
                self._kept[name] = claim

    @property
    def _taken(self) -> int:
        return sum(claim.size for claim in (self._kept | self._used).values())

    def _make_room(self, name: str, size: int) -> None:
        if self._limit is None or self.has(size):
            return
        if size + sum(claim.size for claim in self._used.values()) > self._limit:
            raise self._refusal(name, size)
        while not self.has(size):
            oldest = next(iter(self._kept))
            claim = self._kept.pop(oldest)
            claim.forget()
            log.info("%s gives up %d bytes for %s", oldest, claim.size, name)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _refusal(self, name: str, size: int, why: str = "it does not fit") -> DeviceFull:
        there = {one: claim.size for one, claim in (self._kept | self._used).items()}
        budget = "no bound" if self._limit is None else f"{self._limit} bytes"
        beside = ", ".join(f"{one} {taken}" for one, taken in there.items()) or "nothing"
        message = f"{name} needs {size} bytes of the device, the stage has {budget}, in use or kept: {beside}; {why}"
        return DeviceFull(message, evidence=[{"needed": size, "budget": self._limit, "resident": there}])
