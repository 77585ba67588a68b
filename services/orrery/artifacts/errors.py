"""What a store that does not take or give bytes is called."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from orrery.artifacts.store import Meter
from orrery.worlds.errors import StageUnavailable


class StorageUnavailable(StageUnavailable):
    """The artifact store does not do what it was asked. As for any `StageUnavailable`, a task may be tried again."""

    code = "storage_unavailable"


class StorageFull(StorageUnavailable):
    """The artifact store has no room for what was to be stored; nothing of it was kept."""

    code = "storage_full"
    http_status = 507
    grpc_code = "RESOURCE_EXHAUSTED"


_NO_ROOM = tuple(f"(os error {number})" for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""How obstore, whose errors carry only text, words the system's refusals."""


@contextmanager
def storage_named(meter: Meter) -> Iterator[None]:
    """Raises `StorageFull` or `StorageUnavailable` in place of obstore's own errors, and tells the meter."""
    try:
        yield
    except (BaseError, PermissionError) as error:
        summary = str(error).partition("\n")[0]
        full = any(words in str(error) for words in _NO_ROOM)
        kind = StorageFull if full else StorageUnavailable
        meter.failed(kind.code)
        raise kind(f"the artifact store refuses: {summary}") from error
