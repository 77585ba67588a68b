"""`orrery demo`: a prompt becomes a video on an Orrery that exists only for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import av
from rich.console import Console
from rich.table import Table

from orrery.client.making import follow
from orrery.client.showing import Board
from orrery.embedded.settings import on_free_ports
from orrery.embedded.up import running
from orrery.sdk import Client
from orrery.worlds.errors import StageFailed

SEED = 7


async def run_demo(home: Path, models_dir: Path, output: Path, prompt: str) -> None:
    """Raises `StageFailed` if the file that came out is not what was asked for."""
    console = Console(stderr=True)
    settings = on_free_ports(home, models_dir)
    console.print("starting Valkey, Triton with its stages, gateway and dispatcher")
    async with running(settings, lambda text: console.print(text, style="dim")):
        job = await asyncio.to_thread(_make, settings.url, prompt, output, console)
    check(output, job)
    console.print(_timeline(job))
    console.print(f"{output}: {job['num_frames']} frames of {job['size']} at {job['fps']} fps, checked by decoding it")


def _make(url: str, prompt: str, output: Path, console: Console) -> dict[str, Any]:
    with Client(url) as client:
        output.parent.mkdir(parents=True, exist_ok=True)
        world = follow(client, Board(client, console), client.create(prompt, seed=SEED), output)
        if any(model.id == world.model and model.random_weights for model in client.models()):
            console.print(f"{world.model} has random weights: the video is noise, made by the real path", style="yellow")
        return world.model_dump(mode="json")


def check(path: Path, job: dict[str, Any]) -> None:
    """Decodes the whole file and compares frames, size and rate with what was asked."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        found = (frames, f"{stream.width}x{stream.height}", float(stream.average_rate or 0))
    asked = (job["num_frames"], job["size"], float(job["fps"]))
    if found != asked:
        raise StageFailed(f"{path} has (frames, size, fps) {found}, asked was {asked}")


def _timeline(job: dict[str, Any]) -> Table:
    table = Table("task", "stage", "seconds in the stage", "memo", title=f"job {job['id']}")
    for task in job["timeline"]:
        seconds = "" if task["stage_seconds"] is None else f"{task['stage_seconds']:.3f}"
        table.add_row(task["id"], task["stage"], seconds, "hit" if task["memo"] else "")
    return table
