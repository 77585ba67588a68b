"""The catalog: every model Orrery knows, by name."""

from __future__ import annotations

from orrery.worlds.catalog import predict1, predict2, predict25
from orrery.worlds.catalog.models import ModelSpec
from orrery.worlds.errors import UnknownModel

DEFAULT_MODEL = predict2.MINIATURE.name
CATALOG: dict[str, ModelSpec] = {model.name: model for model in (*predict2.MODELS, *predict1.MODELS, *predict25.MODELS)}


def find(name: str) -> ModelSpec:
    """Raises `UnknownModel` with the names that are known."""
    if name not in CATALOG:
        raise UnknownModel(f"there is no model {name!r}", field="model", allowed=sorted(CATALOG))
    return CATALOG[name]
