"""What every call of `orrery.v1` has in common: typed errors become statuses, and each call is counted by its outcome."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc.aio import ServerInterceptor, ServicerContext
from prometheus_client import Counter

from orrery.gateway.errors import MalformedBody
from orrery.gateway.rpc.messages import headers_of
from orrery.gateway.rpc.statuses import status_of
from orrery.telemetry.tracing import TRACEPARENT, Kind, Span, Tracing
from orrery.worlds.errors import OrreryError

log = logging.getLogger(__name__)

OURS = "/orrery."
"""Health and reflection answer for themselves."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context = ServicerContext[Any, Any]


class TypedCalls(ServerInterceptor):
    """Outermost: what any interceptor or method below it raises leaves as a status with details."""

    def __init__(self, counted: Counter, tracing: Tracing) -> None:
        self._calls = counted
        self._tracing = tracing

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]], details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = await continuation(details)
        return self._typed(handler, details.method) if handler and details.method.startswith(OURS) else handler

    def _typed(self, handler: Handler, method: str) -> Handler:
        read, write = handler.request_deserializer, handler.response_serializer
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streaming(handler.unary_stream, read, method), None, write)
        return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary, read, method), None, write)

    def _unary(self, answer: Any, read: Any, method: str) -> Any:
        async def typed(data: bytes, context: Context) -> Any:
            async with self._outcome(context, method):
                with self._traced(context, method):
                    return await answer(_message(read, data), context)

        return typed

    def _streaming(self, answers: Any, read: Any, method: str) -> Any:
        async def typed(data: bytes, context: Context) -> AsyncIterator[Any]:
            async with self._outcome(context, method):
                async for answer in answers(_message(read, data), context):
                    yield answer

        return typed

    def _traced(self, context: Context, method: str) -> AbstractContextManager[Span]:
        """Streams are not traced: they follow jobs, which have traces of their own."""
        parent = headers_of(context.invocation_metadata()).get(TRACEPARENT)
        return self._tracing.span(method.removeprefix("/"), {"rpc.system": "grpc"}, kind=Kind.SERVER, parent=parent)

    @asynccontextmanager
    async def _outcome(self, context: Context, method: str) -> AsyncIterator[None]:
        code = "CANCELLED"  # also of calls whose deadline passed: the server only learns that the client is gone
        try:
            yield
            code = "OK"
        except OrreryError as error:
            code = error.grpc_code
            await context.abort_with_status(status_of(error))
        except Exception:
            code = "INTERNAL"
            log.exception("%s failed", method)
            await context.abort_with_status(status_of(OrreryError("the gateway failed; its log says why")))
        finally:
            self._calls.labels(method.rpartition("/")[2], code).inc()


def _message(read: Any, data: bytes) -> Any:
    """Read here, because gRPC itself would tell the client what failed inside. Raises `MalformedBody`."""
    try:
        return read(data)
    except DecodeError:
        raise MalformedBody("the bytes are not the method's message") from None
