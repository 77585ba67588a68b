"""How a typed error crosses a server that only carries text: Triton's error message."""

from __future__ import annotations

import json

from orrery.worlds.errors import OrreryError, StageBroken, StageFailed, from_dict

MARK = "orrery-error:"
_DEAD = "Stub process"
"""Triton says so of a Python model whose process is gone, and does not start it again."""


def encode_error(error: OrreryError) -> str:
    return MARK + json.dumps(error.to_dict())


def decode_error(text: str) -> OrreryError:
    """The error in `text`, wherever Triton put its own words around it; text without one is `StageBroken` or `StageFailed`."""
    _, mark, rest = text.partition(MARK)
    if not mark:
        return StageBroken(f"Triton: {text}") if _DEAD in text else StageFailed(text)
    body, _ = json.JSONDecoder().raw_decode(rest)
    return from_dict(body)
