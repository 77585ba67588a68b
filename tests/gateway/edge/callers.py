"""Gateways that ask for keys, and those who call them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.rig import Rig, rig_of
from orrery.gateway.edge.keys import Key, new_key

PROMPT = {"prompt": "a robot arm stacks boxes"}


@dataclass
class Caller:
    """One key's holder."""

    key: Key
    secret: str
    client: httpx.AsyncClient

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, headers=self.headers, **options)

    async def post(self, path: str = "/v1/videos", **options: Any) -> httpx.Response:
        headers = self.headers | options.pop("headers", {})
        return await self.client.post(path, headers=headers, **({"json": PROMPT} | options))

    async def create(self) -> str:
        answer = await self.post()
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


def write_keys(path: Path, *keys: Key) -> None:
    path.write_text(json.dumps({"keys": [key.model_dump(mode="json") for key in keys]}))


@asynccontextmanager
async def guarded(folder: Path, *wanted: dict[str, Any], **settings: Any) -> AsyncIterator[tuple[Rig, list[Caller]]]:
    """A gateway with a key of each of the `wanted` fields."""
    made = [new_key(**fields) for fields in wanted]
    write_keys(folder / "keys.json", *(key for _, key in made))
    async with rig_of(api_keys_file=folder / "keys.json", **settings) as rig:
        yield rig, [Caller(key, secret, rig.client) for secret, key in made]
