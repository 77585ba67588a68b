"""References that are URLs: from where they are fetched, and from where never."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import trustme

from gateway.rig import Rig, rig_of
from gateway.samples import gradient, png
from orrery.gateway.context import Gateway
from orrery.gateway.edge.fetching import Policy, WebUrls
from orrery.gateway.references import DataUrls, References
from orrery.outbound.addresses import AddressRefused

HOST = "media.example"
PICTURE = png(64, 48)


def answer(body: bytes = b"", *, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


@dataclass
class Canary:
    """An https server on this machine that counts who comes."""

    port: int = 0
    answers: list[bytes] = field(default_factory=lambda: [answer(PICTURE)])
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answers[min(len(self.requests), len(self.answers)) - 1])
        await writer.drain()
        writer.close()


@asynccontextmanager
async def canary(authority: trustme.CA, *names: str) -> AsyncIterator[Canary]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    one = Canary()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one.connections += 1
        await one.serve(reader, writer)

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one


async def here(_host: str, _port: int) -> str:
    """Every name leads to this machine, which is taken for a public one."""
    return "127.0.0.1"


@dataclass
class Fetching:
    rig: Rig
    canary: Canary

    async def post(self, url: str) -> Any:
        return await self.rig.post(input_reference=url.replace("PORT", str(self.canary.port)))


Start = Callable[..., Any]


@pytest.fixture
def start() -> Start:
    """A gateway that takes URLs, and a host for them."""
    authority = trustme.CA()

    @asynccontextmanager
    async def begin(
        resolve: Callable[[str, int], Awaitable[str]] = here, names: tuple[str, ...] = (HOST,), **settings: Any
    ) -> AsyncIterator[Fetching]:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        async with rig_of(url_inputs="on", **settings) as rig, canary(authority, *names) as one:
            gateway: Gateway = rig.app.state.gateway
            policy = Policy(
                gateway.settings.url_hosts, gateway.settings.url_seconds, 2, gateway.settings.max_upload_bytes, resolve, context
            )
            object.__setattr__(gateway, "references", References((DataUrls(), WebUrls(policy))))
            yield Fetching(rig, one)

    return begin


async def refused(fetching: Fetching, url: str, code: str = "invalid_field", status: int = 422) -> str:
    got = await fetching.post(url)
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["field"]) == (status, code, "input_reference"), error
    assert await fetching.rig.left_behind() == []
    return str(error["message"])


async def test_a_picture_of_the_web_begins_a_world(start: Start) -> None:
    async with start() as fetching:
        got = await fetching.post(f"https://{HOST}:PORT/a/picture?x=1")
        assert got.status_code == 202, got.text
        assert np.array_equal(await fetching.rig.conditioning(got.json()["id"]), gradient(64, 48)[None])
        (request,) = fetching.canary.requests
        assert request.startswith(b"GET /a/picture?x=1 HTTP/1.1\r\n")
        assert f"Host: {HOST}:{fetching.canary.port}".encode() in request
        assert b"Accept-Encoding: identity" in request


async def test_urls_are_not_taken_unless_somebody_says_so(rig: Rig) -> None:
    got = await rig.post(input_reference="https://example.com/a.png")
    assert (got.status_code, got.json()["error"]["field"]) == (422, "input_reference")
    assert not any("https" in way for way in got.json()["error"]["allowed"])


async def test_the_certificate_must_be_that_of_the_name(start: Start) -> None:
    async with start(names=("other.example",)) as fetching:
        await refused(fetching, f"https://{HOST}:PORT/", "invalid_media")
        assert fetching.canary.requests == []


async def test_redirects_are_followed_a_few_times_and_checked_each_time(start: Start) -> None:
    async with start() as fetching:
        fetching.canary.answers = [answer(status="302 Found", Location="/there"), answer(PICTURE)]
        assert (await fetching.post(f"https://{HOST}:PORT/here")).status_code == 202
        assert fetching.canary.requests[1].startswith(b"GET /there ")
    for location in ("http://media.example/", "file:///etc/passwd", "https://user:pass@media.example/"):
        async with start() as fetching:
            fetching.canary.answers = [answer(status="302 Found", Location=location), answer(PICTURE)]
            await refused(fetching, f"https://{HOST}:PORT/")
            assert len(fetching.canary.requests) == 1
    async with start() as fetching:
        fetching.canary.answers = [answer(status="302 Found", Location="/again")]
        assert "redirected" in await refused(fetching, f"https://{HOST}:PORT/", "invalid_media")
        assert len(fetching.canary.requests) == 3


async def test_a_redirect_to_a_private_host_is_not_followed(start: Start) -> None:
    async def public_only(host: str, _port: int) -> str:
        if host != HOST:
            raise AddressRefused(host)
        return "127.0.0.1"

    async with start(public_only) as fetching:
        fetching.canary.answers = [answer(status="302 Found", Location="https://internal.example/")]
        await refused(fetching, f"https://{HOST}:PORT/")
        assert len(fetching.canary.requests) == 1


async def test_a_name_is_looked_up_once_for_each_request(start: Start) -> None:
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> str:
        asked.append(host)
        if len(asked) > 1:
            raise AddressRefused(host)
        return "127.0.0.1"

    async with start(rebinding) as fetching:
        assert (await fetching.post(f"https://{HOST}:PORT/")).status_code == 202
        assert asked == [HOST]


async def test_what_is_fetched_is_bounded_in_size_and_time(start: Start) -> None:
    async with start(max_upload_bytes=1000) as fetching:
        fetching.canary.answers = [answer(PICTURE + b"x" * 2000)]
        await refused(fetching, f"https://{HOST}:PORT/", "upload_too_large", 413)
    async with start(url_seconds=0.3) as fetching:
        fetching.canary.answers = [answer(PICTURE)[:-20]]

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(2)
            writer.close()

        fetching.canary.serve = slow  # type: ignore[method-assign]
        assert "0.3 seconds" in await refused(fetching, f"https://{HOST}:PORT/", "invalid_media")


async def test_what_is_no_media_is_not_kept(start: Start) -> None:
    pages = [b"<html>" + b"x" * 100, b"", b"PK\x03\x04" + b"\0" * 50]
    for page in pages:
        async with start() as fetching:
            fetching.canary.answers = [answer(page)]
            await refused(fetching, f"https://{HOST}:PORT/", "invalid_media")
    for status in ("404 Not Found", "204 No Content", "206 Partial Content", "500 Oops"):
        async with start() as fetching:
            fetching.canary.answers = [answer(PICTURE, status=status)]
            await refused(fetching, f"https://{HOST}:PORT/", "invalid_media")


async def test_an_answer_that_breaks_off_is_no_picture(start: Start) -> None:
    async with start() as fetching:
        fetching.canary.answers = [answer(PICTURE)[:-20]]
        await refused(fetching, f"https://{HOST}:PORT/", "invalid_media")


async def test_only_listed_hosts_if_any_are_listed(start: Start) -> None:
    async with start(names=(f"a.{HOST}",), url_hosts=("cdn.example", ".media.example")) as fetching:
        await refused(fetching, f"https://{HOST}:PORT/")
        await refused(fetching, f"https://evil{HOST}:PORT/")
        assert fetching.canary.connections == 0
        assert (await fetching.post(f"https://a.{HOST}:PORT/")).status_code == 202
