"""The denoisers of Cosmos as they were released: what their tensors are called, and which of them a file is.

Diffusers has the same tensors under other names. A module for each generation has its names and its variants.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from orrery.weights.released import predict1, predict2, predict25
from orrery.weights.released.detection import variant_of
from orrery.weights.released.variant import Variant, plain
from orrery.worlds.catalog.predict2 import FILES as PREDICT2_FILES
from orrery.worlds.catalog.predict25 import FILES as PREDICT25_FILES

VARIANTS: dict[str, Variant] = predict1.VARIANTS | predict2.VARIANTS | predict25.VARIANTS
"""By the name of the component that the variant becomes. A component of another name may be any of them."""

FILES: dict[str, str] = PREDICT2_FILES | {name: path.rpartition("/")[2] for name, path in PREDICT25_FILES.items()}
"""Components whose files only their names tell from others of the same tensors, and what those are called, as patterns."""


def released_as(file: str, variant: Variant, variants: Mapping[str, Variant]) -> str | None:
    """Which component of `variants` a file of this name and network was released as; None if that is not known."""
    same = (name for name, other in variants.items() if other == variant)
    return next((name for name in same if name in FILES and fnmatchcase(file, FILES[name])), None)


__all__ = ["FILES", "VARIANTS", "Variant", "plain", "released_as", "variant_of"]
