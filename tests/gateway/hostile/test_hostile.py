"""Sends every hostile input and looks what it left."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import trustme

from gateway.edge.callers import write_keys
from gateway.edge.sockets import RawAnswer, raw
from gateway.hostile.case import Case
from gateway.hostile.grpc_rows import GRPC, Call
from gateway.hostile.page import SECONDS, page
from gateway.hostile.table import TABLE
from gateway.rig import Rig, eventually, rig_of
from orrery.gateway.decoding.apart import ZYGOTE
from orrery.gateway.edge.fetching import Policy, WebUrls
from orrery.gateway.edge.keys import new_key
from orrery.gateway.references import References
from orrery.gateway.rpc.server import grpc_serving
from orrery.outbound.addresses import AddressRefused, address_of

PAGE = Path(__file__).parents[3] / "docs" / "hostile-inputs.md"
HEAD_SECONDS = 0.5


@dataclass
class Surroundings:
    """`calls` counts who called the canary; `host` is where public.test really is."""

    canary: int
    host: int
    authority: trustme.CA
    calls: int = 0
    lookups: dict[str, int] = field(default_factory=dict)

    async def resolve(self, name: str, port: int) -> str:
        """public.test is this machine, taken for a public one; rebinding.test is so only the first time."""
        self.lookups[name] = self.lookups.get(name, 0) + 1
        if name == "public.test" or (name == "rebinding.test" and self.lookups[name] == 1):
            return "127.0.0.1"
        if name in ("rebinding.test", "mixed.test"):
            raise AddressRefused(name)
        return await address_of(name, port, allow_private=False)


@asynccontextmanager
async def surroundings(answer: bytes) -> AsyncIterator[Surroundings]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("public.test", "rebinding.test").configure_cert(context)

    async def called(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        around.calls += 1
        writer.close()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.replace(b"CANARY", str(around.canary).encode()) or REBOUND)
        writer.close()

    async with (
        await asyncio.start_server(called, "127.0.0.1", 0) as canary,
        await asyncio.start_server(called, "::1", port_of(canary)),  # whoever spells this machine in IPv6 is noticed too
        await asyncio.start_server(answered, "127.0.0.1", 0, ssl=context) as host,
    ):
        around = Surroundings(port_of(canary), port_of(host), authority)
        yield around


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


REBOUND = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""Has rebinding.test looked up again."""


def fetching_from(around: Surroundings, rig: Rig) -> None:
    """The gateway's own way to fetch, with a resolver that knows the names of these tests."""
    gateway = rig.app.state.gateway
    context = ssl.create_default_context()
    around.authority.configure_trust(context)
    settings = gateway.settings
    policy = Policy((), settings.url_seconds, settings.url_redirects, settings.max_upload_bytes, around.resolve, context)
    kinds = [WebUrls(policy) if isinstance(kind, WebUrls) else kind for kind in gateway.references.kinds]
    object.__setattr__(gateway, "references", References(tuple(kinds)))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go; nothing may be left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


async def no_decoders() -> bool:
    zygote = ZYGOTE._process
    return zygote is None or not psutil.Process(zygote.pid).children()


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
async def test_a_hostile_input(case: Case, tmp_path: Path) -> None:
    settings: dict[str, Any] = dict(case.settings)
    if "api_keys_file" in settings:
        settings["api_keys_file"] = tmp_path / settings["api_keys_file"]
        write_keys(settings["api_keys_file"], new_key(tenant="a")[1])
    async with surroundings(case.host) as around, rig_of(**settings) as rig, raw(rig.app, head_seconds=HEAD_SECONDS) as sender:
        fetching_from(around, rig)
        if "rate_burst" in settings:
            await rig.client.get("/health/live")
        sent = case.sent()
        started = time.monotonic()
        ports = {b"CANARY": str(around.canary).encode(), b"HOST": str(around.host).encode()}
        data = _adjusted(sent.data, ports)
        answer = await sender.exchange(data, dripping=sent.dripping, pause=sent.pause)
        assert time.monotonic() - started < SECONDS
        assert described(answer) == case.result, answer.body[:300]
        await eventually(no_decoders)
        left = await rig.left_behind()
        assert len([name for name in left if name.startswith("video_")]) == (1 if case.leaves else 0), left
        assert len(left) <= (2 if case.leaves else 0)
        assert around.calls == 0
        health = await rig.client.get("/health/live")
        assert health.status_code == (429 if "rate_burst" in settings else 200)


async def test_the_canary_notices_whoever_calls() -> None:
    async with surroundings(b"") as around, rig_of(url_inputs="on") as rig:
        fetching_from(around, rig)
        await rig.post(input_reference=f"https://public.test:{around.canary}/")
        assert around.calls == 1
        _, writer = await asyncio.open_connection("::1", around.canary)
        writer.close()

        async def noticed() -> bool:
            return around.calls == 2

        await eventually(noticed)


def _adjusted(data: bytes, ports: dict[bytes, bytes]) -> bytes:
    """With the ports in it, and the length that follows from that."""
    head, end, body = data.partition(b"\r\n\r\n")
    longer = body
    for name, port in ports.items():
        head, longer = head.replace(name, port), longer.replace(name, port)
    return head.replace(f"Content-Length: {len(body)}\r".encode(), f"Content-Length: {len(longer)}\r".encode()) + end + longer


def described(answer: RawAnswer) -> str:
    if answer.status is None:
        return "closed"
    return f"{answer.status} {answer.code}" if answer.code else str(answer.status)


@pytest.mark.parametrize(("name", "how", "result", "call"), GRPC, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_hostile_call(name: str, how: str, result: str, call: Call) -> None:
    options = (("grpc.max_send_message_length", -1),)
    async with (
        rig_of() as rig,
        grpc_serving(rig.app.state.gateway, "127.0.0.1", 0) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with asyncio.timeout(SECONDS):
                await call(channel)
        assert caught.value.code().name == result, caught.value.details()
        await eventually(no_decoders)
        assert await rig.left_behind() == []


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text() == page()
    assert len(TABLE) >= 60
    names = [case.name for case in TABLE]
    assert len(names) == len(set(names))
