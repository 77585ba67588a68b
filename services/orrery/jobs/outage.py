"""A server that does not answer, in the domain's own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from orrery.worlds.errors import StoreUnavailable


@contextmanager
def outages_named() -> Iterator[None]:
    """Raises `StoreUnavailable` in place of the client's connection errors."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        raise StoreUnavailable(f"the job store does not answer: {error}") from error
