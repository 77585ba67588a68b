"""The live lines."""

from __future__ import annotations

import asyncio
from io import StringIO
from typing import Any

from rich.console import Console

from gateway.rig import rig_of
from gateway.served import served
from orrery.client.making import follow
from orrery.client.showing import Board, Pace, line
from orrery.sdk import Client, World


def world(**fields: Any) -> World:
    return World(**({"id": "video_1", "status": "in_progress"} | fields))


def test_a_line_says_where_a_job_is() -> None:
    running = world(stage="denoiser", step=12, num_steps=35, progress=34)
    assert line(running, 3.2, 2.1) == "denoiser  step 12/35  34 %  ETA 3 s  (2.1 s)"
    assert line(world(status="queued", queue_position=4), None, 0.0) == "queued  4 ahead in the queue  0 %  (0.0 s)"
    shown = {"step": 12, "width": 176, "height": 96, "url": "/v1/videos/video_1/content?variant=preview"}
    assert "preview 176x96" in line(world(preview=shown), None, 0.0)


def test_the_servers_forecast_is_told_and_else_the_pace_of_the_steps() -> None:
    pace = Pace()
    assert pace.left(world(eta_seconds=7.5), 0.0) == 7.5
    assert pace.left(world(), 0.0) is None
    assert pace.left(world(stage="denoiser", step=2, num_steps=10), 100.0) is None
    assert pace.left(world(stage="denoiser", step=6, num_steps=10), 102.0) == 2.0
    assert pace.left(world(stage="other", step=1, num_steps=4), 110.0) is None


async def test_a_terminal_shows_the_job_while_it_is_made(tmp_path: Any) -> None:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    async with rig_of() as rig, served(rig.app) as http:

        def use() -> World:
            with Client(str(http.base_url)) as client:
                board = Board(client, console)
                return follow(client, board, client.create("a robot arm stacks boxes"), tmp_path / "a.mp4")

        using = asyncio.create_task(asyncio.to_thread(use))
        while "guardrail_text" not in screen.getvalue():
            await asyncio.sleep(0.05)
        (job,) = (await rig.jobs.list(after=None, limit=1, order="asc")).jobs
        await rig.work(job.id)
        assert (await using).status == "completed"
    assert (tmp_path / "a.mp4").stat().st_size > 0
