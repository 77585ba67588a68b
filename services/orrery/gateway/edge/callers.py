"""Who a request is from, known wherever the request is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fastapi import Depends

from orrery.gateway.edge.errors import Forbidden
from orrery.gateway.edge.keys import Key

_CALLER: ContextVar[Key | None] = ContextVar("caller", default=None)


def caller() -> Key | None:
    """The key that the work at hand is for; None where nobody is asked for one, and in the gateway's own work."""
    return _CALLER.get()


def restricted() -> Key | None:
    """The caller, unless it may see everything."""
    key = caller()
    return None if key is None or key.admin else key


@contextmanager
def on_behalf_of(key: Key | None) -> Iterator[None]:
    """What is done in this context, and what it starts, is for `key`."""
    token = _CALLER.set(key)
    try:
        yield
    finally:
        _CALLER.reset(token)


def require_admin() -> None:
    """Raises `Forbidden` for callers with a key that is no admin's."""
    if restricted() is not None:
        raise Forbidden("only an admin's key may do this")


async def _admin() -> None:
    require_admin()


ADMIN = Depends(_admin)
"""Of routes that are an operator's."""
