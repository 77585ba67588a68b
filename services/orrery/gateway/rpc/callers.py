"""Who calls over gRPC: the keys that HTTP has, as metadata."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc.aio import ServerInterceptor

from orrery.gateway.edge.callers import on_behalf_of
from orrery.gateway.edge.door import secret_of
from orrery.gateway.edge.errors import Forbidden
from orrery.gateway.edge.keys import Key, KeyRing
from orrery.gateway.rpc.calls import OURS, Context, Handler
from orrery.gateway.rpc.messages import headers_of
from orrery.gateway.terms import TENANT


class KnownCallers(ServerInterceptor):
    """Inside of `TypedCalls`. Our methods work for the key that called them; the others have no tenant's data."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

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

    def _key(self, context: Context) -> Key:
        headers = headers_of(context.invocation_metadata())
        key = self._ring.find(secret_of(headers))
        if headers.get(TENANT, key.tenant) != key.tenant:
            raise Forbidden(f"the key is not that tenant's: leave {TENANT} out", field=TENANT, allowed=[key.tenant])
        return key
