"""Both clients against a gateway behind a real socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import orrery
from gateway.rig import THUMBNAIL, VIDEO, eventually
from gateway.samples import clip, png
from orrery.sdk import AsyncClient, Client, Event, JobFailed, Unreachable
from orrery.worlds.errors import InvalidField, JobCancelled, JobNotFinished, JobNotFound, PromptBlocked
from sdk.conftest import QUICK, Served

PROMPT = "a robot arm stacks boxes"


async def test_a_world_from_prompt_to_file(gateway: Served, client: AsyncClient, tmp_path: Path) -> None:
    events: list[Event] = []
    world = await client.create(PROMPT, seed=7, num_frames=9)
    assert (world.status, world.seed, world.num_frames, world.queue_position) == ("queued", 7, 9, 0)
    waiting = asyncio.create_task(client.wait(world.id, on_event=events.append))
    await gateway.rig.work(world.id)
    done = await waiting
    assert (done.status, done.progress, done.ended) == ("completed", 100, True)
    assert [events[0].type, events[-1].type] == ["job.queued", "job.completed"]
    assert {"stage": "denoiser", "step": 1, "num_steps": 2}.items() <= events[-4].data.items() or any(e.data for e in events)
    assert await client.download(world.id, tmp_path / "world.mp4") == len(VIDEO)
    await client.download(world.id, tmp_path / "world.png", variant="thumbnail")
    assert (tmp_path / "world.mp4").read_bytes() == VIDEO
    assert (tmp_path / "world.png").read_bytes() == THUMBNAIL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["world.mp4", "world.png"]


async def test_the_client_that_waits_does_the_same(gateway: Served, tmp_path: Path) -> None:
    def use(path: Path) -> tuple[str, int, list[str]]:
        with Client(gateway.url, retries=QUICK, tenant="studio") as client:
            world = client.create(PROMPT, priority="interactive")
            assert (world.tenant, world.priority) == ("studio", "interactive")
            seen: list[str] = []
            done = client.wait(world.id, on_event=lambda event: seen.append(event.type))
            return done.status, client.download(done.id, path), seen

    using = asyncio.create_task(asyncio.to_thread(use, tmp_path / "world.mp4"))
    jobs = await eventually(gateway.rig.left_behind)
    await gateway.rig.work(jobs[0])
    status, size, seen = await using
    assert (status, size, seen[0], seen[-1]) == ("completed", len(VIDEO), "job.queued", "job.completed")


async def test_a_reference_is_a_file_or_bytes(gateway: Served, client: AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(clip(7))
    moving = await client.create(PROMPT, reference=tmp_path / "in.mp4", num_conditional_frames=5)
    still = await client.create(PROMPT, reference=png(64, 48), guidance_scale=2.5)
    assert (await gateway.rig.conditioning(moving.id)).shape == (5, 48, 64, 3)
    assert (await gateway.rig.conditioning(still.id)).shape == (1, 48, 64, 3)
    assert still.parameters["guidance_scale"] == 2.5


async def test_jobs_are_listed_cancelled_and_deleted(client: AsyncClient) -> None:
    ids = [(await client.create(PROMPT, seed=seed)).id for seed in range(3)]
    page = await client.list(limit=2)
    assert ([world.id for world in page.data], page.has_more) == (ids[:0:-1], True)
    assert [world.id for world in (await client.list(after=ids[0], order="asc")).data] == ids[1:]
    assert (await client.cancel(ids[0])).status == "cancelled"
    assert (await client.delete(ids[0])).deleted
    with pytest.raises(JobNotFound):
        await client.get(ids[0])
    assert (await client.requeue(ids[1])).status == "queued"
    assert (await client.dead()).data == ()


async def test_models_say_what_may_be_asked(client: AsyncClient) -> None:
    (model,) = [model for model in await client.models() if model.default]
    assert "video2world" in model.workflows
    assert "allowed" in model.parameters["text2world"]["num_frames"]


async def test_refusals_are_typed_as_the_server_says(client: AsyncClient) -> None:
    with pytest.raises(InvalidField) as invalid:
        await client.create(PROMPT, num_frames=10)
    assert (invalid.value.field, invalid.value.http_status) == ("num_frames", 422)
    assert "5" in str(invalid.value.allowed)
    with pytest.raises(PromptBlocked) as blocked:
        await client.create("a fucking ball")
    assert blocked.value.evidence
    world = await client.create(PROMPT)
    with pytest.raises(JobNotFinished):
        await client.download(world.id, Path("never"))
    assert not Path("never.part").exists()


async def test_a_job_that_ends_without_a_video_is_an_error(gateway: Served, client: AsyncClient) -> None:
    failing = await client.create(PROMPT)
    await gateway.rig.work(failing.id, failing={"denoiser": {"code": "component_unusable", "message": "weights are gone"}})
    with pytest.raises(JobFailed) as failed:
        await client.wait(failing.id)
    assert (failed.value.reason.code, failed.value.world.id) == ("component_unusable", failing.id)
    cancelled = await client.create(PROMPT, seed=1)
    await client.cancel(cancelled.id)
    with pytest.raises(JobCancelled):
        await client.wait(cancelled.id)


async def test_nobody_at_the_address_is_said_so() -> None:
    async with AsyncClient("http://127.0.0.1:9", retries=QUICK) as client:
        with pytest.raises(Unreachable, match="no gateway at http://127"):
            await client.get("video_1")
    with Client("http://127.0.0.1:9", retries=QUICK) as waiting, pytest.raises(Unreachable):
        list(waiting.watch("video_1"))


async def test_all_events_are_followed_from_a_place(gateway: Served, client: AsyncClient) -> None:
    world = await client.create(PROMPT)
    await gateway.rig.work(world.id)
    one = [event async for event in client.watch(world.id)]
    assert [event async for event in client.watch(world.id, after=one[2].id)] == one[3:]
    every = client.watch(after="0")
    assert [await anext(every) for _ in one] == one
    await every.aclose()  # type: ignore[attr-defined]


def test_clients_are_found_by_name_and_imported_when_asked_for() -> None:
    assert (orrery.Client, orrery.AsyncClient) == (Client, AsyncClient)
    code = "import sys, orrery; assert 'httpx' not in sys.modules; orrery.Client; assert 'httpx' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="Klient"):
        orrery.Klient  # noqa: B018
