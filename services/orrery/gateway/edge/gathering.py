"""Fewer, larger writes: uvicorn writes the head and the body of an answer apart, and each write is a call of the kernel's."""

from __future__ import annotations

import asyncio
from typing import Any

MOST_HELD = 64 * 1024
"""Bytes; what is larger is written as it stands."""


class Gathered(asyncio.Transport):
    """Holds a piece until the next one is there, and at the latest until the event loop has seen to what it is at."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: bytes | bytearray | memoryview = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data:
            return
        held, self._held = self._held, b""
        if held:
            self._transport.writelines((held, data))
        elif len(data) > MOST_HELD:
            self._transport.write(data)
        else:
            self._held = data
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._transport.write(held)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)
