"""From the fields of a body to a `RequestedWorld`: names, types and sizes; ranges are for `settle`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from orrery.gateway.parameters import request_parameters
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.errors import InvalidField
from orrery.worlds.requests import RequestedWorld
from orrery.worlds.synonyms import refuse_unknown as refuse_unknown

INTEGERS = frozenset(
    {
        *("num_frames", "seconds", "num_chunks", "chunk_size", "chunk_overlap", "fps", "num_conditional_frames"),
        *("num_inference_steps", "seed", "n", "expires_after"),
    }
)
NUMBERS = frozenset({"guidance_scale", "lora_scale"})
BOOLEANS = frozenset({"prompt_upsampling"})
MAX_INTEGER = 2**63 - 1
MAX_CHARACTERS = 20_000
"""Of one text field: far above any model's words, and cheap to read through."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(
    r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?|[+-]?(nan|inf|infinity)", re.IGNORECASE
)


def requested_world(values: Mapping[str, Any], model: ModelSpec, workflow: Workflow, *, form: bool) -> RequestedWorld:
    """Raises `InvalidField` naming the field and what is allowed. The values of a form are strings and are read as numbers.

    What is not given or null is not among the fields that are set.
    """
    try:
        typed = {name: read_value(name, value, form=form) for name, value in values.items() if value is not None}
        return RequestedWorld.model_validate(typed, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field, message = str(first["loc"][0]), f"{first['loc'][0]}: {first['msg']}"
    except InvalidField as error:
        field, message = str(error.field), error.message
    parameters = request_parameters(model, workflow)
    raise InvalidField(message, field=field, allowed=parameters.get(field, {}).get("allowed", _kind(field)))


def read_value(name: str, value: Any, *, form: bool) -> Any:
    """A field's value: of a form, read as the field's type; of JSON, as it is. Raises `InvalidField`."""
    # OpenAI's clients send seconds as a string, in JSON too.
    if isinstance(value, str) and name in _READERS and (form or name == "seconds"):
        value = _READERS[name](name, value)
    if isinstance(value, str):
        _check_text(name, value)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise InvalidField(f"{name} is too large a number", field=name, allowed=_kind(name))
    return value


def _check_text(name: str, value: str) -> None:
    if len(value) > MAX_CHARACTERS:
        raise InvalidField(f"{name} has {len(value)} characters", field=name, allowed=f"up to {MAX_CHARACTERS} characters")
    if _SURROGATE.search(value):  # JSON can escape half of a pair, and nothing after it can encode that
        raise InvalidField(f"{name} contains half of a surrogate pair", field=name, allowed="Unicode text")


def _integer(name: str, value: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise InvalidField(f"{name}: {value[:40]!r} is not an integer", field=name, allowed=_kind(name))
    return int(value)


def _number(name: str, value: str) -> float:
    if not _NUMBER.fullmatch(value):
        raise InvalidField(f"{name}: {value[:40]!r} is not a number", field=name, allowed=_kind(name))
    return float(value)


def _boolean(name: str, value: str) -> bool:
    if value not in _TRUTHS:
        raise InvalidField(f"{name}: {value[:40]!r} is neither true nor false", field=name, allowed=_kind(name))
    return _TRUTHS[value]


_TRUTHS = {"true": True, "false": False}
_READERS: dict[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(INTEGERS, _integer),
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys(BOOLEANS, _boolean),
}


def _kind(name: str) -> str:
    kinds = {"an integer": INTEGERS, "a number": NUMBERS, "true or false": BOOLEANS}
    return next((kind for kind, names in kinds.items() if name in names), "a text")
