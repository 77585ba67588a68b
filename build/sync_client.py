"""Writes the client that waits from the one that does not: `python build/sync_client.py services/orrery/sdk`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WORDS = {
    '"""The client for programs that do other things meanwhile. `client.py` is written from this file by `make stubs`."""': (
        '"""The client for programs that wait. Written from `aio.py` by `make stubs`."""'
    ),
    "Tasks may share": "Threads may share",
    "import asyncio": "import time",
    "asyncio.sleep": "time.sleep",
    "AsyncClient": "Client",
    "AsyncBaseTransport": "BaseTransport",
    "AsyncIterator, Callable, Iterable, Mapping, Sequence": "Callable, Iterable, Iterator, Mapping, Sequence",
    "AsyncIterator": "Iterator",
    "async def": "def",
    "async with": "with",
    "async for": "for",
    "(await self._send(calls.models())).data": "self._send(calls.models()).data",
    "await ": "",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "aread": "read",
    "aiter_": "iter_",
}


SETTINGS = Path(__file__).parent.parent / "pyproject.toml"


def sync_source(source: str) -> str:
    for word, other in WORDS.items():
        source = source.replace(word, other)
    formatting = [sys.executable, "-m", "ruff", "format", "--config", SETTINGS, "--stdin-filename", "client.py", "-"]
    return subprocess.run(formatting, input=source, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "client.py").write_text(sync_source((folder / "aio.py").read_text()))
