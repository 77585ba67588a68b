"""For the sequences: bodies that are mostly taken, so that there is something to go on with. Loaded by `schemathesis`."""

from __future__ import annotations

from typing import Any

import schemathesis

KEPT = ("seed", "num_inference_steps", "output_format", "priority", "video", "response_format")
"""Fields that go with one another, whatever their values."""


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    if not isinstance(body, dict) or "prompt" not in body:
        return body
    return {"prompt": "a ball rolls"} | {name: body[name] for name in KEPT if name in body}
