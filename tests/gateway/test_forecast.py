"""What a job is told of how long it takes, from what was seen before."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from gateway.rig import TINY, Rig, Worker, eventually, rig_of
from orrery.artifacts import ObjectArtifacts, open_store
from orrery.gateway import forecast as forecasting
from orrery.gateway.eta import Line
from orrery.gateway.forecast import Estimate, Forecaster
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Claim, Completion, Job, Submission
from orrery.worlds.catalog import CATALOG
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.contracts import CONTRACTS
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, settle

TRUE = Line(14.4, 3.05)
SECONDS = {"guardrail_text": 0.1, "text_encoder": 1.0, "video_encoder": 2.0, "video_decoder": 4.0, "publisher": 0.5}


@dataclass
class World:
    """Workers, one of each pool, in a time of their own: every task takes as long as its stage does."""

    now: float = 1_000_000.0
    jobs: MemoryJobs = field(init=False)
    artifacts: ObjectArtifacts = field(default_factory=lambda: open_store("memory://"))
    count: int = 0

    def __post_init__(self) -> None:
        self.jobs = MemoryJobs(clock=lambda: self.now, lease=1e9)

    def forecaster(self) -> Forecaster:
        return Forecaster(self.jobs, clock=lambda: self.now)

    async def submit(self, steps: int, workflow: Workflow = Workflow.TEXT2IMAGE, num_chunks: int | None = None) -> Job:
        self.count += 1
        model = CATALOG[TINY]
        world = settle(RequestedWorld(prompt="x", num_inference_steps=steps, num_chunks=num_chunks), model, workflow)
        return await self.jobs.submit(
            Submission(
                job_id=f"job-{self.count}",
                model=model.name,
                workflow=workflow.value,
                request=world.model_dump(mode="json"),
                plan=plan(world, model),
            )
        )

    async def unbegun(self, workflow: Workflow, num_chunks: int) -> Job:
        """A job of 35 steps that nobody begins: it is taken away again, so that none waits for it."""
        job = await self.submit(35, workflow, num_chunks)
        await self.jobs.delete(job.id)
        return job

    async def work(self, pool: str) -> bool:
        claim = await self.jobs.claim([pool], "w", wait=0)
        if claim is None:
            return False
        self.now += self.seconds(claim.task.stage, int(str(claim.task.parameters.get("num_inference_steps", 0))))
        worker = Worker(self.jobs, self.artifacts)
        outputs = {made.name: await worker._output(made) for made in CONTRACTS[claim.task.stage].outputs}
        await self.jobs.complete(claim, Completion(outputs=outputs, memo=False, stage_seconds=0.1))
        return True

    def seconds(self, stage: str, steps: int) -> float:
        return SECONDS.get(stage) or TRUE.seconds(steps)

    async def finish(self, job: Job) -> Job:
        while not job.state.ended:
            for pool in dict.fromkeys(task.pool for task in job.tasks):
                await self.work(pool)
            job = await self.jobs.get(job.id)
        return job


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(forecasting, "GLANCE_SECONDS", 0.0)
    return World()


CHAIN = 0.1 + 1.0 + 4.0 + 0.5
"""What is not denoising on the way of an image: its texts are encoded side by side."""


async def test_nothing_is_told_before_anything_was_seen(world: World) -> None:
    forecast = await world.forecaster().forecast(await world.submit(10))
    assert (forecast.queue_position, forecast.eta_seconds) == (0, None)


async def test_a_job_is_told_how_long_it_takes(world: World) -> None:
    forecaster = world.forecaster()
    for steps in (10, 20, 40):
        forecaster.learn(await world.finish(await world.submit(steps)))
    told = await forecaster.forecast(await world.submit(35))
    assert told.eta_seconds == pytest.approx(CHAIN + TRUE.seconds(35), rel=3e-3)


async def test_every_chunk_of_a_film_counts_and_is_known_from_films_of_one(world: World) -> None:
    forecaster = world.forecaster()
    for steps in (10, 20, 40):
        forecaster.learn(await world.finish(await world.submit(steps, Workflow.TEXT2WORLD)))
    one = await forecaster.forecast(await world.unbegun(Workflow.TEXT2WORLD, 1))
    four = await forecaster.forecast(await world.unbegun(Workflow.TEXT2WORLD, 4))
    assert one.eta_seconds is not None
    assert four.eta_seconds is not None
    chunk = SECONDS["video_encoder"] + TRUE.seconds(35) + SECONDS["video_decoder"]
    assert four.eta_seconds - one.eta_seconds == pytest.approx(3 * chunk, rel=3e-3)


async def test_the_progress_of_a_film_in_chunks_never_goes_back(world: World) -> None:
    job, seen = await world.submit(10, Workflow.TEXT2WORLD, 4), []
    while not job.state.ended:
        for pool in dict.fromkeys(task.pool for task in job.tasks):
            await world.work(pool)
            job = await world.jobs.get(job.id)
            seen.append(job.progress)
    assert seen == sorted(seen)
    assert len({round(progress, 6) for progress in seen}) > 4 * 3


async def test_an_estimate_is_what_the_job_would_be_told(world: World) -> None:
    forecaster = world.forecaster()
    supposed = await world.submit(35)
    await world.jobs.delete(supposed.id)
    assert await forecaster.estimate(supposed) == Estimate(0, None, None)
    for steps in (10, 20, 40):
        forecaster.learn(await world.finish(await world.submit(steps)))
    alone = await forecaster.estimate(supposed)
    assert alone.device_seconds == pytest.approx(2 * 1.0 + TRUE.seconds(35) + 4.0, rel=3e-3)
    assert alone.eta_seconds == pytest.approx(CHAIN + TRUE.seconds(35), rel=3e-3)
    await world.submit(35)
    behind = await forecaster.estimate(supposed)
    assert (behind.queue_position, behind.device_seconds) == (1, alone.device_seconds)
    told = await forecaster.forecast(await world.submit(35))
    assert behind.eta_seconds == pytest.approx(told.eta_seconds)


async def test_a_gateway_that_starts_learns_from_what_was_done_before(world: World) -> None:
    for steps in (10, 40):
        await world.finish(await world.submit(steps))
    forecaster = world.forecaster()
    await forecaster.start()
    told = await forecaster.forecast(await world.submit(35))
    assert told.eta_seconds == pytest.approx(CHAIN + TRUE.seconds(35), rel=3e-3)


async def denoising(world: World, job: Job) -> tuple[str, Claim]:
    """All before it is done; gives the denoiser's pool, and the job's task of it."""
    for stage in ("guardrail_text", "text_encoder", "text_encoder"):
        (pool,) = {task.pool for task in job.tasks if task.stage == stage}
        await world.work(pool)
    (pool,) = {task.pool for task in job.tasks if task.stage == "denoiser"}
    claim = await world.jobs.claim([pool], "w", wait=0)
    assert claim is not None
    return pool, claim


async def test_a_running_task_counts_what_is_left_of_it(world: World) -> None:
    forecaster = world.forecaster()
    for steps in (10, 40):
        forecaster.learn(await world.finish(await world.submit(steps)))
    job = await world.submit(35)
    _, claim = await denoising(world, job)
    world.now += TRUE.seconds(20)
    await world.jobs.progress(claim, 20, 35)
    told = await forecaster.forecast(await world.jobs.get(job.id))
    assert told.queue_position is None
    assert told.eta_seconds == pytest.approx(15 * TRUE.per_step + 4.5, rel=3e-3)
    world.now += 1000  # it hangs: the steps are still to come
    told = await forecaster.forecast(await world.jobs.get(job.id))
    assert told.eta_seconds == pytest.approx(15 * TRUE.per_step + 4.5, rel=3e-3)
    await world.jobs.cancel(job.id)
    ended = await forecaster.forecast(await world.jobs.get(job.id))
    assert (ended.queue_position, ended.eta_seconds) == (None, None)


async def test_a_resumed_task_counts_only_what_it_runs(world: World) -> None:
    forecaster = world.forecaster()
    for steps in (10, 40):
        forecaster.learn(await world.finish(await world.submit(steps)))
    job = await world.submit(35)
    pool, first = await denoising(world, job)
    await world.jobs.progress(first, 30, 35)
    await world.jobs.checkpoint(first, await world.artifacts.put(b"latents"), 30)
    world.now += 2e9  # its worker is gone
    assert await world.jobs.claim([pool], "w2", wait=0) is not None
    told = await forecaster.forecast(await world.jobs.get(job.id))
    assert told.eta_seconds == pytest.approx(TRUE.seconds(5) + 4.5, rel=3e-3)


async def test_the_line_is_part_of_it(world: World) -> None:
    forecaster = world.forecaster()
    for _ in range(3):
        forecaster.learn(await world.finish(await world.submit(35)))
    await world.jobs.announce("w", {task.pool for task in (await world.submit(35)).tasks}, seconds=1e9)
    waiting = [await world.submit(35) for _ in range(4)]
    while await world.work("guardrail_text"):
        pass
    (encoder,) = {task.pool for task in waiting[0].tasks if task.stage == "text_encoder"}
    while await world.work(encoder):
        pass
    told = [await forecaster.forecast(await world.jobs.get(job.id)) for job in waiting]
    assert [one.queue_position for one in told] == [1, 2, 3, 4]
    gaps = [(b.eta_seconds or 0) - (a.eta_seconds or 0) for a, b in pairwise(told)]
    assert gaps == [pytest.approx(TRUE.seconds(35), rel=3e-3)] * 3


async def test_who_was_taken_before_is_before_it_at_every_later_pool(world: World) -> None:
    forecaster = world.forecaster()
    for _ in range(3):
        forecaster.learn(await world.finish(await world.submit(35)))
    jobs = [await world.submit(35) for _ in range(4)]
    told = [(await forecaster.forecast(job)).eta_seconds or 0.0 for job in jobs]
    assert told[0] == pytest.approx(CHAIN + TRUE.seconds(35), rel=3e-3)
    assert [b - a for a, b in pairwise(told[1:])] == [pytest.approx(TRUE.seconds(35), rel=3e-3)] * 2
    await world.work("guardrail_text")  # the first moves on, and is still before all others
    later = [(await forecaster.forecast(await world.jobs.get(job.id))).eta_seconds or 0.0 for job in jobs]
    assert later[0] < told[0]
    assert later[1:] == [pytest.approx(seconds, rel=0.02) for seconds in told[1:]]


async def test_a_promise_is_compared_once_with_what_came(world: World) -> None:
    forecaster = world.forecaster()
    for steps in (10, 40):
        forecaster.learn(await world.finish(await world.submit(steps)))
    job, other = await world.submit(35), await world.submit(35)
    forecaster.promise(job, forecasting.Forecast(0, 100.0))
    forecaster.promise(other, forecasting.Forecast(0, None))
    done = await world.finish(job)
    actual = (done.finished_at or 0) - done.created_at
    assert forecaster.error(done) == pytest.approx(abs(100.0 - actual) / actual)
    assert forecaster.error(done) is None
    assert forecaster.error(await world.finish(other)) is None


async def test_the_error_of_promises_is_a_metric(rig: Rig) -> None:
    async with rig.app.router.lifespan_context(rig.app):

        async def observed() -> float:
            lines = (await rig.client.get("/metrics")).text.splitlines()
            (count,) = [line for line in lines if line.startswith("orrery_eta_error_ratio_count")]
            return float(count.split()[1])

        assert await observed() == 0
        first = (await rig.post()).json()
        assert first["eta_seconds"] is None
        await rig.work(first["id"])

        async def told() -> float | None:
            job = (await rig.post(seed=2)).json()
            await rig.work(job["id"])
            eta: float | None = job["eta_seconds"]
            return eta

        assert await eventually(told) is not None
        await eventually(observed)


async def test_positions_are_shown_in_jobs_and_lists() -> None:
    async with rig_of() as rig:
        ids = [(await rig.post(seed=seed)).json()["id"] for seed in range(3)]
        assert (await rig.client.get(f"/v1/videos/{ids[2]}")).json()["queue_position"] == 2
        page = (await rig.client.get("/v1/videos", params={"order": "asc"})).json()
        assert [job["queue_position"] for job in page["data"]] == [0, 1, 2]
        await rig.jobs.cancel(ids[0])
        positions = [(await rig.client.get(f"/v1/videos/{job_id}")).json()["queue_position"] for job_id in ids]
        assert positions == [None, 0, 1]
