"""Who calls over gRPC, and how often: the keys and rates that HTTP has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc.aio import ServerInterceptor
from starlette.datastructures import Headers

from orrery.gateway.edge.buckets import Buckets
from orrery.gateway.edge.callers import on_behalf_of
from orrery.gateway.edge.door import FAILURES_PER_SECOND, check_rate, secret_of
from orrery.gateway.edge.errors import Forbidden, Unauthenticated
from orrery.gateway.edge.keys import Key, KeyRing
from orrery.gateway.edge.settings import EdgeSettings
from orrery.gateway.rpc.calls import OURS, Context, Handler
from orrery.gateway.rpc.messages import headers_of
from orrery.gateway.terms import TENANT


class KnownCallers(ServerInterceptor):
    """Inside of `TypedCalls`. Our methods work for the key that called them; the others have no tenant's data.

    Without a ring everybody is let in. A caller has the rates of HTTP once more: the transports count for themselves.
    """

    def __init__(self, settings: EdgeSettings, ring: KeyRing | None) -> None:
        self._ring = ring
        self._settings = settings
        self._buckets = Buckets(settings.rate_burst)
        self._failures = Buckets(settings.rate_burst)

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]], details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = await continuation(details)
        return self._asking(handler) if handler and details.method.startswith(OURS) else handler

    def _asking(self, handler: Handler) -> Handler:
        streams = {"request_deserializer": handler.request_deserializer, "response_serializer": handler.response_serializer}
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streaming(handler.unary_stream), **streams)
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary), **streams)

    def _unary(self, answer: Any) -> Any:
        async def known(request: Any, context: Context) -> Any:
            with on_behalf_of(self._key(context)):
                return await answer(request, context)

        return known

    def _streaming(self, answers: Any) -> Any:
        async def known(request: Any, context: Context) -> AsyncIterator[Any]:
            with on_behalf_of(self._key(context)):
                async for answer in answers(request, context):
                    yield answer

        return known

    def _key(self, context: Context) -> Key | None:
        """The key of a call that may go on. Raises the refusal."""
        address = context.peer().rpartition(":")[0]
        if self._ring is None:
            check_rate(self._buckets, address, self._settings.rate_per_second)
            return None
        key = self._known(self._ring, address, headers_of(context.invocation_metadata()))
        check_rate(self._buckets, key.id, key.rate_per_second or self._settings.rate_per_second)
        return key

    def _known(self, ring: KeyRing, address: str, headers: Headers) -> Key:
        try:
            key = ring.find(secret_of(headers))
        except Unauthenticated:
            check_rate(self._failures, address, FAILURES_PER_SECOND)
            raise
        if headers.get(TENANT, key.tenant) != key.tenant:
            raise Forbidden(f"the key is not that tenant's: leave {TENANT} out", field=TENANT, allowed=[key.tenant])
        return key
