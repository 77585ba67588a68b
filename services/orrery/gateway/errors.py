"""Errors that only HTTP has, and the one shape in which every error leaves the gateway."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from orrery.worlds.errors import InvalidField, InvalidRequest, OrreryError, QueueFull, StoreUnavailable

log = logging.getLogger(__name__)


class MalformedBody(InvalidRequest):
    """The body cannot be read as what its content type says it is."""

    code = "malformed_body"
    http_status = 400


class UnsupportedContentType(InvalidRequest):
    code = "unsupported_content_type"
    http_status = 415


class NoSuchRoute(OrreryError):
    code = "not_found"
    http_status = 404
    grpc_code = "UNIMPLEMENTED"


class MethodNotAllowed(OrreryError):
    code = "method_not_allowed"
    http_status = 405
    grpc_code = "UNIMPLEMENTED"


class GenerationTimeout(OrreryError):
    """A request that waits for its result waited long enough; the job is cancelled."""

    code = "generation_timeout"
    http_status = 504
    grpc_code = "DEADLINE_EXCEEDED"


class WebhooksNotSetUp(OrreryError):
    code = "webhooks_not_set_up"
    http_status = 409
    grpc_code = "FAILED_PRECONDITION"


def error_response(error: OrreryError, headers: dict[str, str] | None = None) -> Response:
    """`{"error": {...}}`. ASCII, because a message may quote half of a surrogate pair."""
    kind = "server_error" if error.http_status >= 500 else "invalid_request_error"
    body = json.dumps({"error": error.to_dict() | {"type": kind}})
    return Response(body, status_code=error.http_status, media_type="application/json", headers=headers)


def install_handlers(app: FastAPI) -> None:
    app.add_exception_handler(OrreryError, _typed)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(Exception, _unexpected)
    app.add_exception_handler(StoreUnavailable, _store_down)
    app.add_exception_handler(QueueFull, _queue_full)


async def _typed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OrreryError)  # noqa: S101
    return error_response(error)


async def _invalid_parameter(_request: Request, error: Exception) -> Response:
    """A query parameter; bodies never come through FastAPI's own validation."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first: dict[str, Any] = error.errors()[0]
    field = str(first["loc"][-1])
    return error_response(InvalidField(f"{field}: {first['msg']}", field=field, allowed=first["msg"]))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    messages = {
        404: NoSuchRoute(f"there is nothing at {request.url.path}"),
        405: MethodNotAllowed(f"{request.url.path} does not take {request.method}"),
    }
    headers = dict(error.headers or {}) | ({"Allow": _allowed(request)} if error.status_code == 405 else {})
    return error_response(messages.get(error.status_code, MalformedBody(str(error.detail))), headers)


def _allowed(request: Request) -> str:
    """Every method that the path takes: the router names only those of the first route that fits.

    `/v1/videos/sync` is not the video `sync`, although its path would fit that too.
    """
    fitting = [route for route in request.app.state.routes if route.matches(request.scope)[0] is not Match.NONE]
    named = [route for route in fitting if route.path == request.url.path]
    return ", ".join(sorted({method for route in named or fitting for method in route.methods}))


async def _disconnected(_request: Request, _error: Exception) -> Response:
    return error_response(MalformedBody("the client went away before the whole request was here"))


async def _store_down(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StoreUnavailable)  # noqa: S101
    log.error("%s", error.message)
    return error_response(error, {"Retry-After": "5"})


async def _queue_full(_request: Request, error: Exception) -> Response:
    assert isinstance(error, QueueFull)  # noqa: S101
    return error_response(error, {"Retry-After": str(max(1, math.ceil(error.retry_after)))})


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(OrreryError("the gateway failed; its log says why"))
