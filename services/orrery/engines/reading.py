"""Safetensors files to tensors: many at a time, each straight to its device and element type."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from orrery.engines.placing import Told
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.stored import Stored, stored_in

Placed = Callable[[torch.Tensor], torch.Tensor]
Tensors = dict[str, torch.Tensor]

THREADS = min(8, os.cpu_count() or 1)
"""So many read at a time. Beyond that a disk or the memory is what is waited for."""
PART_BYTES = 128 << 20
"""What one thread takes in hand: a file is read by several, and none of them is left with much at the end."""


@dataclass(frozen=True)
class Part:
    """Some tensors of one file."""

    path: Path
    tensors: tuple[Stored, ...]

    @property
    def size(self) -> int:
        return sum(tensor.size for tensor in self.tensors)


def read_tensors(
    paths: Sequence[Path],
    placed: Placed,
    told: Told,
    threads: int = THREADS,
    limit: int = PART_BYTES,
    wanted: Callable[[str], bool] = lambda _name: True,
) -> Tensors:
    """The wanted tensors of all files by name. `placed` copies one, which it is given as a view of its file, to its place.

    Raises `ComponentUnusable` for a file that cannot be read, and for a name that is in two of them.
    """
    stored = {path: [tensor for tensor in stored_in(path) if wanted(tensor.name)] for path in paths}
    parts = [part for path, tensors in stored.items() for part in parts_of(path, tensors, limit)]
    _hold_apart(parts)
    total, done = sum(part.size for part in parts), 0
    found: Tensors = {}
    with ThreadPoolExecutor(threads, thread_name_prefix="weights") as pool:
        reading = {pool.submit(_read, part, placed): part for part in sorted(parts, key=lambda part: -part.size)}
        for future in as_completed(reading):
            found |= _result(future, reading)
            done += reading[future].size
            told(done, total)
    return found


def parts_of(path: Path, tensors: Sequence[Stored], limit: int) -> Iterator[Part]:
    """Neighbours of up to `limit` bytes together, or one that is larger than that."""
    part: list[Stored] = []
    for tensor in tensors:
        if part and sum(one.size for one in part) + tensor.size > limit:
            yield Part(path, tuple(part))
            part = []
        part.append(tensor)
    if part:
        yield Part(path, tuple(part))


def _hold_apart(parts: Sequence[Part]) -> None:
    where: dict[str, Path] = {}
    for part in parts:
        for tensor in part.tensors:
            if tensor.name in where:
                raise ComponentUnusable(f"{tensor.name} is in {where[tensor.name].name} and in {part.path.name}")
            where[tensor.name] = part.path


def _read(part: Part, placed: Placed) -> Tensors:
    """In a thread. What takes time, the copy, is done without Python's lock."""
    with safe_open(part.path, framework="pt", device="cpu") as file:
        return {tensor.name: placed(file.get_tensor(tensor.name)) for tensor in part.tensors}


def _result(future: Future[Tensors], reading: dict[Future[Tensors], Part]) -> Tensors:
    """What a thread read. After an error nothing that has not been begun is read any more."""
    try:
        return future.result()
    except (SafetensorError, OSError) as error:
        for other in reading:
            other.cancel()
        raise ComponentUnusable(f"{reading[future].path}: {error}") from error
