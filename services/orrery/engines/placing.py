"""Where the weights of a component rest, which whoever loads it decides and the component need not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch

Told = Callable[[int, int], None]
"""Is told how many bytes of weights are loaded, and of how many."""


def _nobody(_done: int, _total: int) -> None:
    """There is nobody to tell."""


@dataclass(frozen=True)
class Placing:
    """A component computes on the device it is given. Its weights are put there, or on `home` if there is one.

    `networks` are those that were loaded.
    """

    home: torch.device | None = None
    told: Told = _nobody
    networks: list[torch.nn.Module] = field(default_factory=list)


_PLACING: ContextVar[Placing | None] = ContextVar("placing", default=None)


def placing() -> Placing:
    """That in force here; weights go where they compute if there is none."""
    return _PLACING.get() or Placing()


@contextmanager
def placed(one: Placing) -> Iterator[Placing]:
    """Meanwhile networks are loaded as `one` says."""
    token = _PLACING.set(one)
    try:
        yield one
    finally:
        _PLACING.reset(token)
