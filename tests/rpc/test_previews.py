"""A watch brings the previews with it."""

from __future__ import annotations

import grpc

from gateway.samples import jpeg
from orrery.jobs.records import Preview
from orrery.v1 import worlds_pb2 as v1
from rpc.conftest import Caller, refusal

SHOWN = Preview(step=4, width=32, height=18, image=jpeg(32, 18))


async def _download(caller: Caller, job_id: str, offset: int = 0) -> list[v1.Chunk]:
    request = v1.DownloadRequest(id=job_id, variant="preview", offset=offset)
    return [chunk async for chunk in caller.worlds.Download(request, timeout=10)]


async def test_a_preview_comes_with_its_step_while_it_is_there(caller: Caller) -> None:
    world = await caller.create()
    claim = await caller.rig.jobs.claim([world.tasks[0].stage], "worker-1", wait=0)
    assert claim is not None
    await caller.rig.jobs.show(claim, SHOWN)
    for step in (4, 5):
        await caller.rig.jobs.progress(claim, step, 8)
    request = v1.WatchRequest(id=world.id)
    file, image = await _download(caller, world.id)
    assert (file.file.media_type, file.file.size, image.data) == ("image/jpeg", len(SHOWN.image), SHOWN.image)
    _, rest = await _download(caller, world.id, offset=7)
    assert rest.data == SHOWN.image[7:]
    seen: dict[int, v1.Preview | None] = {}
    async for event in caller.worlds.Watch(request, timeout=10):
        if event.type == "job.progress":
            seen[event.step] = event.preview if event.HasField("preview") else None
        if event.step == 5:
            await caller.rig.jobs.cancel(world.id)
    expected = v1.Preview(media_type="image/jpeg", data=SHOWN.image, width=32, height=18)
    assert seen == {4: expected, 5: None}
    gone = await refusal(_download(caller, world.id))
    assert (gone.code, gone.details["ErrorInfo"].reason) == (grpc.StatusCode.NOT_FOUND, "PREVIEW_NOT_FOUND")
    late = [event async for event in caller.worlds.Watch(request, timeout=10)]
    assert not any(event.HasField("preview") for event in late), "it is gone with the job's end"
