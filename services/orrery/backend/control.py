"""The caller's control byte, as the stage's process sees it."""

from __future__ import annotations

import mmap
import os

from orrery.worlds.control import PREFIX, SHARED_MEMORY
from orrery.worlds.errors import InvalidField, StageUnavailable


class ControlByte:
    """Reads the byte of the shared memory `name`, also after its owner has removed the name.

    Raises `InvalidField` for a name that is none, and `StageUnavailable` if nothing has it: then its owner gave the request up.
    """

    def __init__(self, name: str) -> None:
        if "/" in name or not name.startswith(PREFIX):
            raise InvalidField(f"{name!r} is not a control byte", field="control", allowed=f"a name that begins {PREFIX}")
        try:
            descriptor = os.open(SHARED_MEMORY / name, os.O_RDONLY)
        except FileNotFoundError:
            raise StageUnavailable(f"there is no shared memory {name!r}") from None
        try:
            self._map = mmap.mmap(descriptor, 1, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)

    def read(self) -> int:
        return self._map[0]
