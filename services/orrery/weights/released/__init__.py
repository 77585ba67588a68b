"""The denoisers of Cosmos as they were released: what their tensors are called, and which of them a file is.

Diffusers has the same tensors under other names. A module for each generation has its names and its variants.
"""

from __future__ import annotations

from orrery.weights.released import predict1, predict2, predict25
from orrery.weights.released.detection import variant_of
from orrery.weights.released.variant import Variant, plain

VARIANTS: dict[str, Variant] = predict1.VARIANTS | predict2.VARIANTS | predict25.VARIANTS
"""By the name of the component that the variant becomes. A component of another name may be any of them."""

FILES: dict[str, str] = predict25.FILES
"""Files that only their names tell from others of the same tensors: how a name begins, and the component that it is."""

__all__ = ["FILES", "VARIANTS", "Variant", "plain", "variant_of"]
