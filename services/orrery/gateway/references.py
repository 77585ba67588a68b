"""`input_reference` where it is written rather than uploaded."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any, BinaryIO

from orrery.gateway.fields import refuse_unknown
from orrery.worlds.errors import InvalidField, InvalidMedia

REFERENCE = "input_reference"
ALLOWED = ["a file, as multipart/form-data", '"data:image/png;base64,..."', '{"image_url": "data:image/png;base64,..."}']


def read_reference(value: Any) -> BinaryIO | None:
    """The bytes of a data URL, plain or as `image_url`. Raises `InvalidField`; `InvalidMedia` if it is not base64."""
    if value is None:
        return None
    if isinstance(value, dict):
        refuse_unknown((name for name in value if name != "file_id"), ("image_url",))
        value = value.get("image_url")
    if not isinstance(value, str) or not value.startswith("data:"):
        raise InvalidField(f"{REFERENCE} is neither a file nor a data URL", field=REFERENCE, allowed=ALLOWED)
    return BytesIO(_decode(value))


def _decode(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InvalidMedia(f"{REFERENCE} is a data URL without base64", field=REFERENCE, allowed=ALLOWED)
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise InvalidMedia(f"{REFERENCE}: {error}", field=REFERENCE, allowed=ALLOWED) from None
