"""A client sees what a job makes while it is made."""

from __future__ import annotations

import pytest

from gateway.samples import jpeg
from orrery import sdk
from orrery.jobs.records import Preview
from orrery.sdk import AsyncClient
from orrery.worlds.errors import PreviewNotFound
from sdk.conftest import Served

SHOWN = Preview(step=4, width=32, height=18, image=jpeg(32, 18))


async def test_an_event_tells_of_a_preview_that_can_be_had(gateway: Served, client: AsyncClient) -> None:
    jobs = gateway.rig.jobs
    world = await client.create("a robot arm stacks boxes")
    claim = await jobs.claim([(await jobs.get(world.id)).tasks[0].pool], "worker-1", wait=0)
    assert claim is not None
    with pytest.raises(PreviewNotFound, match="yet"):
        await client.preview(world.id)
    await jobs.show(claim, SHOWN)
    await jobs.progress(claim, 4, 8)
    told = None
    async for event in client.watch(world.id):
        if event.preview is not None:
            told = event.preview
            assert await client.preview(world.id) == SHOWN.image
            assert (await client.get(world.id)).preview == told
            await jobs.cancel(world.id)
    assert isinstance(told, sdk.Preview)
    assert (told.step, told.width, told.height) == (4, 32, 18)
    with pytest.raises(PreviewNotFound, match="has ended"):
        await client.preview(world.id)
