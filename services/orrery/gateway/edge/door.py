"""The door: looks at the head of a request before anything of its body is read."""

from __future__ import annotations

import math

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orrery.gateway.edge.buckets import Buckets
from orrery.gateway.edge.callers import on_behalf_of
from orrery.gateway.edge.errors import Forbidden, HeadersTooLarge, TooManyRequests, Unauthenticated
from orrery.gateway.edge.keys import Key, KeyRing
from orrery.gateway.edge.patience import PatientReceive, has_body
from orrery.gateway.edge.settings import EdgeSettings
from orrery.gateway.errors import error_response
from orrery.gateway.terms import TENANT
from orrery.worlds.errors import OrreryError

OPEN = frozenset({"/health/live", "/health/ready", "/v1/health/live", "/v1/health/ready"})
"""Asked by machines that have no key."""

FAILURES_PER_SECOND = 1.0
"""From one address, beyond the burst: more wrong keys are not even looked at."""


class Door:
    """ASGI middleware. Refuses what is too large, too much, or from nobody known; without a ring everybody is let in."""

    def __init__(self, app: ASGIApp, settings: EdgeSettings, ring: KeyRing | None) -> None:
        self._app = app
        self._settings = settings
        self._ring = ring
        self._buckets = Buckets(settings.rate_burst)
        self._failures = Buckets(settings.rate_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        patient = PatientReceive(receive, self._settings, expected=has_body(scope))
        closing = _closing(patient, send)
        try:
            key = self._admit(scope)
        except OrreryError as error:
            await refusal(error)(scope, receive, closing)
            return
        scope.setdefault("state", {})["key"] = key
        if key is not None:
            _name_tenant(scope, key)
        with on_behalf_of(key):
            await self._app(scope, patient, closing)

    def _admit(self, scope: Scope) -> Key | None:
        """The key of a request that may go on. Raises the refusal."""
        self._check_size(scope)
        address = _address(scope)
        if self._ring is None or scope["path"] in OPEN:
            check_rate(self._buckets, address, self._settings.rate_per_second)
            return None
        key = self._known(self._ring, address, Headers(scope=scope))
        check_rate(self._buckets, key.id, key.rate_per_second or self._settings.rate_per_second)
        return key

    def _check_size(self, scope: Scope) -> None:
        headers = scope["headers"]
        size = sum(len(name) + len(value) for name, value in headers) + len(scope["raw_path"]) + len(scope["query_string"])
        if len(headers) > self._settings.max_headers or size > self._settings.max_header_bytes:
            allowed = f"up to {self._settings.max_headers} headers and {self._settings.max_header_bytes} bytes with the URL"
            raise HeadersTooLarge("the head of the request is too large", allowed=allowed)

    def _known(self, ring: KeyRing, address: str, headers: Headers) -> Key:
        try:
            key = ring.find(secret_of(headers))
        except Unauthenticated:
            wait = self._failures.take(address, FAILURES_PER_SECOND)
            if wait:
                raise TooManyRequests("too many requests without a valid key", retry_after=wait) from None
            raise
        if headers.get(TENANT, key.tenant) != key.tenant:
            raise Forbidden(f"the key is not that tenant's: leave {TENANT} out", field=TENANT, allowed=[key.tenant])
        return key


def check_rate(buckets: Buckets, caller: str, per_second: float) -> None:
    """Raises `TooManyRequests`; a rate of 0 is no limit."""
    wait = buckets.take(caller, per_second) if per_second else 0.0
    if wait:
        raise TooManyRequests("too many requests", retry_after=wait, allowed=f"{per_second:g} a second")


def secret_of(headers: Headers) -> str | None:
    """The key of `Authorization: Bearer` or `x-api-key`, as whoever sent it wrote it."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def refusal(error: OrreryError) -> Response:
    """The answer to a request that does not get further."""
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return error_response(error, headers)


async def refused(_request: Request, error: Exception) -> Response:
    """The handler of refusals that come from further inside."""
    assert isinstance(error, OrreryError)  # noqa: S101
    return refusal(error)


def _name_tenant(scope: Scope, key: Key) -> None:
    """As if the client had named its key's tenant: nothing after the door has to know of keys for that.

    The scope stays the same object, in which whoever stands before the door finds the route.
    """
    name = TENANT.lower().encode()
    scope["headers"] = [pair for pair in scope["headers"] if pair[0] != name] + [(name, key.tenant.encode())]


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "nowhere"


def _closing(patient: PatientReceive, send: Send) -> Send:
    """A client whose body was not read to its end is not listened to any longer."""

    async def close(message: Message) -> None:
        if message["type"] == "http.response.start" and not patient.complete:
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return close
