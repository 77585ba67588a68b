"""What the command line keeps of previews."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console

from gateway.rig import Rig, Worker, eventually, rig_of
from gateway.samples import jpeg
from gateway.served import served
from orrery.client.making import Made, Maker
from orrery.client.showing import Board
from orrery.client.specs.formats import Place, Wanted
from orrery.jobs.records import Job, Preview
from orrery.sdk import Client

SHOWN = Preview(step=4, width=32, height=18, image=jpeg(32, 18))


async def submitted(rig: Rig) -> Job | None:
    return next(iter((await rig.jobs.list(after=None, limit=1, order="asc")).jobs), None)


async def test_previews_of_what_is_waited_for_are_kept(tmp_path: Path) -> None:
    place, prompt = Place(tmp_path, None, 0), {"prompt": "a robot arm stacks boxes"}
    wanted = Wanted(place, tmp_path / "world.mp4", prompt)

    def make(url: str) -> list[Made]:
        with Client(url) as client:
            return Maker(client, Board(client, Console()), previews=tmp_path / "previews").make([wanted])

    async with rig_of() as rig, served(rig.app) as http:
        making = asyncio.create_task(asyncio.to_thread(make, str(http.base_url)))
        job = await eventually(lambda: submitted(rig))
        claim = await rig.jobs.claim([job.tasks[0].pool], "worker-1", wait=0)
        assert claim is not None
        await rig.jobs.show(claim, SHOWN)
        for step in (4, 5):
            await rig.jobs.progress(claim, step, 8)
        kept = tmp_path / "previews" / f"world-{claim.task.id}-004.jpg"

        async def is_kept() -> bool:
            return kept.is_file() and kept.read_bytes() == SHOWN.image

        await eventually(is_kept)
        await Worker(rig.jobs, rig.artifacts).do(claim)
        await rig.work(job.id)
        (made,) = await making
    assert made.error is None
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
