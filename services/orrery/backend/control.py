"""The caller's control byte, as the stage's process sees it."""

from __future__ import annotations

import mmap
import os

from orrery.worlds.control import PREFIX, SHARED_MEMORY
from orrery.worlds.errors import InvalidField


class ControlByte:
    """Reads the byte of the shared memory `name`; it stays readable when its owner is gone. Raises `InvalidField`."""

    def __init__(self, name: str) -> None:
        if "/" in name or not name.startswith(PREFIX):
            raise InvalidField(f"{name!r} is not a control byte", field="control", allowed=f"a name that begins {PREFIX}")
        try:
            descriptor = os.open(SHARED_MEMORY / name, os.O_RDONLY)
        except FileNotFoundError:
            raise InvalidField(f"there is no shared memory {name!r}", field="control") from None
        try:
            self._map = mmap.mmap(descriptor, 1, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)

    def read(self) -> int:
        return self._map[0]
