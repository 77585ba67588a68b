"""System shared memory as Triton sees it: a file in /dev/shm that both sides map, so that frames are not sent through gRPC."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np

from orrery.worlds.control import PREFIX
from orrery.worlds.control import SHARED_MEMORY as FOLDER
from orrery.worlds.errors import StageFailed
from orrery.worlds.tensors import Array

_ALIGNMENT = 64


class SharedRegion:
    """`size` bytes of address space; pages exist only once touched, so a generous size costs nothing."""

    def __init__(self, name: str, size: int) -> None:
        self.name = f"{PREFIX}{os.getpid()}-{name}"
        self.size = size
        self._path = FOLDER / self.name
        descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            os.ftruncate(descriptor, size)
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)

    @property
    def key(self) -> str:
        """The name `shm_open` takes."""
        return f"/{self.name}"

    def view(self, dtype: np.dtype[np.generic], shape: tuple[int, ...], offset: int = 0) -> Array:
        """An array over the region's own bytes. Raises `StageFailed` if it does not fit."""
        count = int(np.prod(shape, dtype=np.int64))
        if offset + count * dtype.itemsize > self.size:
            raise StageFailed(
                f"a tensor {shape} of {dtype} does not fit {self.size} bytes of shared memory: raise ORRERY_SHM_BYTES"
            )
        return np.frombuffer(self._map, dtype=dtype, count=count, offset=offset).reshape(shape)

    def close(self) -> None:
        """Removes the name; the memory goes with the last view of it."""
        self._path.unlink(missing_ok=True)


def aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def sweep() -> list[str]:
    """Removes regions whose process is gone (killed, so that it could not do it itself); gives their names."""
    dead = [path for path in FOLDER.glob(f"{PREFIX}*-*") if not _alive(path)]
    for path in dead:
        path.unlink(missing_ok=True)
    return [path.name for path in dead]


def _alive(path: Path) -> bool:
    pid = path.name.removeprefix(PREFIX).split("-", 1)[0]
    return not pid.isdigit() or Path("/proc", pid).exists()
