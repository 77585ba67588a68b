"""Which LoRA a request may name, and how strongly it may change the network."""

from __future__ import annotations

from typing import Any

from orrery.worlds.catalog.models import ModelSpec
from orrery.worlds.errors import InvalidField

FULL = 1.0
"""As strong as the LoRA was trained."""


def chosen_lora(name: str | None, scale: float | None, model: ModelSpec) -> tuple[str | None, float | None]:
    """The name and the scale that a request settles to, both None without a LoRA. Raises `InvalidField`."""
    if name is not None and name not in model.loras:
        raise InvalidField(f"there is no LoRA {name!r} for {model.name} here", field="lora", allowed=list(model.loras))
    if name is None and scale is not None:
        raise InvalidField("lora_scale is of a lora, which is not given", field="lora_scale", allowed="together with lora")
    if scale is not None and scale not in model.lora_scale:  # NaN is in no range
        raise InvalidField(f"lora_scale {scale} is out of range", field="lora_scale", allowed=str(model.lora_scale))
    return name, None if name is None else FULL if scale is None else scale


def lora_parameters(model: ModelSpec) -> dict[str, Any]:
    """As `parameters_of` tells parameters; nothing where no LoRA is offered."""
    if not model.loras:
        return {}
    return {
        "lora": {"default": None, "allowed": list(model.loras)},
        "lora_scale": {"default": FULL, "allowed": str(model.lora_scale)},
    }


def lora_schemas(model: ModelSpec) -> dict[str, Any]:
    """As `schema_of` describes fields."""
    if not model.loras:
        nothing = {"type": "null", "description": "No LoRA is offered here."}
        return {"lora": nothing, "lora_scale": nothing}
    limits = {"minimum": model.lora_scale.minimum, "maximum": model.lora_scale.maximum}
    strength = f"How strong the LoRA is, {FULL:g} if not given; only together with it."
    return {
        "lora": {"type": "string", "enum": list(model.loras), "description": "A change of the network that was learned apart."},
        "lora_scale": {"type": "number", **limits, "description": strength},
    }
