"""JSON objects as clients send them, with bounds that the standard library does not have."""

from __future__ import annotations

import json
from typing import Any

from orrery.gateway.errors import MalformedBody


def read_object(text: bytes | str, max_depth: int) -> dict[str, Any]:
    """A JSON object that is nested at most `max_depth` deep and gives every name once. Raises `MalformedBody`.

    NaN and Infinity are read, although they are no JSON, for the field's own check to name them.
    """
    try:
        values = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"the body is not JSON: {error}", allowed="a JSON object") from None
    if not isinstance(values, dict):
        raise MalformedBody("the body is JSON, but no object", allowed="a JSON object")
    if _is_deeper(values, max_depth):
        raise MalformedBody("the body is nested too deep", allowed=f"up to {max_depth} levels")
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name that comes twice, other readers of the same text may take the other value."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedBody(f"{twice[:80]!r} is given twice", allowed="every name once")
    return values


def _is_deeper(values: Any, max_depth: int) -> bool:
    layer = [values]
    for _ in range(max_depth):
        layer = [inner for outer in layer for inner in _inside(outer)]
        if not layer:
            return False
    return True


def _inside(value: Any) -> list[Any]:
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in within if isinstance(one, dict | list)]
