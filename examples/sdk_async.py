"""The same without waiting in line: four worlds at once."""

import asyncio
import os
from pathlib import Path

from orrery import AsyncClient


async def make(client: AsyncClient, seed: int) -> None:
    world = await client.create("A red ball rolls across a wooden table.", seed=seed, num_inference_steps=4)
    await client.wait(world.id)
    await client.download(world.id, Path(f"async-{seed}.mp4"))


async def main() -> None:
    async with AsyncClient(os.environ.get("ORRERY_URL", "http://127.0.0.1:8080")) as client:
        await asyncio.gather(*(make(client, seed) for seed in range(4)))


asyncio.run(main())
