"""A gateway behind a real socket, and ways to a client whose network is bad."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from gateway.rig import Rig, rig_of
from gateway.served import served
from orrery.sdk import AsyncClient, Retries

QUICK = Retries(first=0.01, longest=0.02)


@dataclass
class Served:
    rig: Rig
    url: str


@pytest.fixture
async def gateway() -> AsyncIterator[Served]:
    async with rig_of() as rig, served(rig.app) as client:
        yield Served(rig, str(client.base_url))


@pytest.fixture
async def client(gateway: Served) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(gateway.url, retries=QUICK) as client:
        yield client


Fault = Callable[[httpx.Request, httpx.Response], httpx.Response]


@dataclass
class Faulty(httpx.AsyncBaseTransport):
    """The real network with one fault for each of the first answers; `requests` is all that was sent."""

    faults: list[Fault]
    requests: list[httpx.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = await self._network.handle_async_request(request)
        return self.faults.pop(0)(request, answer) if self.faults else answer

    async def aclose(self) -> None:
        await self._network.aclose()


def lost(request: httpx.Request, _: httpx.Response) -> httpx.Response:
    """The server did what it was asked, and nobody learns of it."""
    raise httpx.ReadError("connection reset", request=request)


def says(status: int, **headers: str) -> Fault:
    body = {"error": {"code": "queue_full" if status == 429 else "store_unavailable", "message": "not now"}}
    return lambda _request, _answer: httpx.Response(status, json=body, headers=headers)


def cut_after(size: int) -> Fault:
    def cut(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        answer.stream = _Cut(answer.stream, size, request)  # type: ignore[arg-type]
        return answer

    return cut


@dataclass
class _Cut(httpx.AsyncByteStream):
    whole: httpx.AsyncByteStream
    size: int
    request: httpx.Request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self.size
        async for chunk in self.whole:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                raise httpx.ReadError("connection reset", request=self.request)

    async def aclose(self) -> None:
        await self.whole.aclose()
