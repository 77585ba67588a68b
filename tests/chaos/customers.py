"""Who submits: jobs of every class, each with a key of its own, some of them cancelled, all of them remembered."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import httpx

from e2e.media import png, scene

ENDED = ("completed", "failed", "cancelled")
PATIENCE = 120.0


@dataclass
class Order:
    """One request, and what became of it. `accepted` once a gateway answered 202."""

    number: int
    fields: dict[str, str]
    cancel_after: float | None
    job_id: str | None = None
    job: dict[str, Any] | None = field(default=None, repr=False)


def orders(seed: int, count: int) -> list[Order]:
    """Small worlds of a few shapes; one in ten is cancelled a little after it was accepted."""
    chance = random.Random(seed)
    return [_order(number, chance) for number in range(count)]


def _order(number: int, chance: random.Random) -> Order:
    fields = {
        "prompt": f"cart {number % 7} crosses the yard",
        "size": chance.choice(["96x96", "128x96"]),
        "num_frames": str(chance.choice([5, 9])),
        "num_inference_steps": str(chance.choice([8, 20, 35])),
        "seed": str(number),
        "output_format": "mkv",
        "priority": chance.choice(["interactive", "standard", "standard", "batch"]),
    }
    return Order(number, fields, chance.uniform(0.0, 2.0) if chance.random() < 0.1 else None)


async def submit_all(url: str, wanted: list[Order], *, per_second: float) -> None:
    """At a steady rate, whatever happens to the gateway: a refused connection is tried again under the same key."""
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client, asyncio.TaskGroup() as group:
        for order in wanted:
            group.create_task(_submit(client, order))
            await asyncio.sleep(1 / per_second)


async def _submit(client: httpx.AsyncClient, order: Order) -> None:
    picture = png(scene(1, 96, 96, seed=order.number)[0])
    headers = {"Idempotency-Key": f"order-{order.number}"}
    files = {"input_reference": ("a.png", picture)}
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        answer = await _try(client, "POST", "/v1/videos", data=order.fields, files=files, headers=headers)
        if answer is not None and answer.status_code == 202:
            order.job_id = answer.json()["id"]
            break
        await asyncio.sleep(0.5)
    if order.job_id and order.cancel_after is not None:
        await asyncio.sleep(order.cancel_after)
        await _insist(client, "POST", f"/v1/videos/{order.job_id}/cancel")


async def collect(url: str, wanted: list[Order], *, patience: float) -> None:
    """Asks for every accepted job until all have ended, or for `patience` seconds none did: a slow machine loses no job."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    missing = [order for order in wanted if order.job_id]
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        while missing and clock() < deadline:
            for order in missing:
                answer = await _try(client, "GET", f"/v1/videos/{order.job_id}")
                if answer is not None and answer.status_code == 200:
                    order.job = answer.json()
            left = [order for order in missing if order.job is None or order.job["status"] not in ENDED]
            if len(left) < len(missing):
                deadline = clock() + patience
            missing = left
            await asyncio.sleep(0.5)


async def contents(url: str, wanted: list[Order]) -> dict[int, bytes]:
    """The videos of the completed ones, by number."""
    found = {}
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        for order in wanted:
            if order.job is not None and order.job["status"] == "completed":
                answer = await _insist(client, "GET", f"/v1/videos/{order.job_id}/content")
                found[order.number] = answer.content
    return found


async def _insist(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    for _ in range(int(PATIENCE)):
        answer = await _try(client, method, path)
        if answer is not None and answer.status_code < 500:
            return answer
        await asyncio.sleep(1.0)
    raise TimeoutError(f"{method} {path} was not answered for {PATIENCE:.0f} s")


async def _try(client: httpx.AsyncClient, method: str, path: str, **arguments: Any) -> httpx.Response | None:
    try:
        return await client.request(method, path, **arguments)
    except httpx.TransportError:
        return None
