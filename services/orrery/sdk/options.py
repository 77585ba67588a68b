"""How a client reaches its gateway."""

from __future__ import annotations

import httpx

from orrery.worlds.environment import DEFAULT_PORT

DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
TIMEOUT = httpx.Timeout(30.0, read=None)
"""An upload may take the gateway a while, and what a gateway does not answer at all it does not answer for good."""


def headers_of(api_key: str | None, tenant: str | None) -> dict[str, str]:
    """What every request of a client says of its sender."""
    key = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return key | ({"X-Orrery-Tenant": tenant} if tenant else {})
