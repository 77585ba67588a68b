"""Both clients against a gateway behind a real socket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import orrery
from gateway.rig import THUMBNAIL, VIDEO, eventually, rig_of
from gateway.samples import clip, png
from gateway.served import served
from orrery.client.options import WorldOptions
from orrery.gateway.terms import FIELDS
from orrery.jobs.memory import MemoryJobs
from orrery.sdk import AsyncClient, Client, Event, JobFailed, Parameters, Unreachable
from orrery.worlds.errors import InvalidField, JobCancelled, JobNotFinished, JobNotFound, PromptBlocked
from orrery.worlds.requests import RequestedWorld
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
    for nobody in ("video_1", "a?b#c", "..%2fmodels"):
        with pytest.raises(JobNotFound):
            await client.get(nobody)
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


async def test_an_estimate_takes_nothing(gateway: Served, client: AsyncClient) -> None:
    told = await client.estimate(PROMPT, num_frames=9, reference=png(64, 48))
    assert (told.workflow, told.num_frames, told.queue_position) == ("video2world", 9, 0)
    assert await gateway.rig.left_behind() == []
    with pytest.raises(InvalidField):
        await client.estimate(PROMPT, num_frames=10)


async def test_worlds_are_made_of_others(gateway: Served, client: AsyncClient) -> None:
    first = await client.create(PROMPT, seed=11, num_frames=9)
    await gateway.rig.work(first.id, media=clip(9, 176, 96))
    remixed = await client.remix(first.id, "a robot arm paints boxes")
    assert (remixed.seed, remixed.prompt, remixed.remixed_from_video_id) == (11, "a robot arm paints boxes", first.id)
    extended, edited = await client.extend(first.id, "it goes on"), await client.edit(first.id, "it turns")
    assert {extended.workflow, edited.workflow} == {"video2world"}
    again = {(await client.remix(first.id, PROMPT, idempotency_key="once")).id for _ in range(2)}
    assert len(again) == 1


async def test_a_batch_is_made_of_bodies_and_files(gateway: Served, client: AsyncClient) -> None:
    file = await client.upload(png(64, 48), seconds=3600)
    bodies = [("red", {"prompt": "red", "input_reference": {"file_id": file.id}}), ("bad", {"prompt": "bad", "seed": -1})]
    batch = await client.batch(bodies)
    seen: list[str] = []
    waiting = asyncio.create_task(client.wait_batch(batch.id, on_change=lambda now: seen.append(now.status)))
    (job_id,) = await eventually(lambda: jobs_of(gateway))
    await gateway.rig.work(job_id)
    ended = await waiting
    assert (ended.ended, ended.request_counts, seen[-1]) == (True, {"total": 2, "completed": 1, "failed": 1}, "completed")
    results = {line["custom_id"]: line["response"]["status_code"] for line in await client.batch_results(ended.id)}
    assert results == {"red": 200, "bad": 422}
    assert (await client.cancel_batch(batch.id)).status == "completed"


async def jobs_of(gateway: Served) -> list[str]:
    return [job.id for job in (await gateway.rig.jobs.list(after=None, limit=10, order="asc")).jobs]


async def test_a_job_with_fresh_attempts_is_waited_for_beyond_its_first_end() -> None:
    clock = [1_000_000.0]
    jobs = MemoryJobs(clock=lambda: clock[0])
    async with rig_of(jobs) as rig, served(rig.app) as http, AsyncClient(str(http.base_url), retries=QUICK) as client:
        world = await client.create(PROMPT)
        while await jobs.claim(["guardrail_text"], "gone", wait=0):
            clock[0] += 1000
        with pytest.raises(JobFailed):
            await client.wait(world.id)
        assert [dead.id for dead in (await client.dead()).data] == [world.id]
        await client.requeue(world.id)
        types: list[str] = []
        waiting = asyncio.create_task(client.wait(world.id, on_event=lambda event: types.append(event.type)))
        await rig.work(world.id)
        assert (await waiting).status == "completed"
    assert types.index("job.failed") < types.index("job.completed")


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
    assert [event async for event in client.watch(world.id, after=one[-1].id)] == []
    every = client.watch(after="0")
    assert [await anext(every) for _ in one] == one
    await every.aclose()  # type: ignore[attr-defined]


ONLY_CLIENT = """
import sys
class OnlyTheExtra:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "fastapi", "starlette", "uvicorn", "grpc", "google", "numpy", "av", "tritonclient"}:
            raise ModuleNotFoundError(f"no {name} here")
sys.meta_path.insert(0, OnlyTheExtra())
import orrery.client.cli, orrery.client.exits, orrery.client.making, orrery.sdk
"""


def test_a_client_needs_nothing_of_a_server() -> None:
    done = subprocess.run([sys.executable, "-c", ONLY_CLIENT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_both_ways_in_know_every_parameter_that_the_gateway_takes() -> None:
    taken = {*RequestedWorld.model_fields, "model", *FIELDS} - {"prompt"}
    assert set(Parameters.__annotations__) == taken
    assert {option.name for option in fields(WorldOptions)} == taken


def test_clients_are_found_by_name_and_imported_when_asked_for() -> None:
    assert (orrery.Client, orrery.AsyncClient) == (Client, AsyncClient)
    code = "import sys, orrery; assert 'httpx' not in sys.modules; orrery.Client; assert 'httpx' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="Klient"):
        orrery.Klient  # noqa: B018
