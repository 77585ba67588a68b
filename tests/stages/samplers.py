"""Samplers, and the tiny transformers that go with them."""

from __future__ import annotations

from orrery.stages.predictions import PREDICTIONS, Edm, RectifiedFlow
from orrery.stages.samplers import SAMPLERS, make_sampler
from stages.setting import IMAGE, WORLD

ONE_OF_EACH = tuple({(type(make_sampler(name, 2)), PREDICTIONS[name]): name for name in SAMPLERS}.values())
"""A sampler for each pair of solver and prediction: what other names add is another schedule."""


def still(sampler: str) -> str:
    """The tiny transformer to make a picture with: most kinds of prediction want a channel for the condition mask."""
    return IMAGE if issubclass(PREDICTIONS[sampler], RectifiedFlow | Edm) else WORLD
