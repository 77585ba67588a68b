"""A server that does not answer, in the domain's own words."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from redis import exceptions

from orrery.worlds.errors import StoreUnavailable


@contextmanager
def outages_named() -> Iterator[None]:
    """Raises `StoreUnavailable` in place of the client's connection errors."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        raise StoreUnavailable(f"the job store does not answer: {error}") from error


async def reply_of(command: object) -> Any:
    """What the server answers; redis-py types a command as an answer or a promise of one. Raises `StoreUnavailable`."""
    with outages_named():
        return await cast(Awaitable[Any], command)
