"""Retention: what expires goes, what anybody needs stays, and metadata and files never disagree."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dispatcher.work import Clock, Jobs, age, claim, do, finish, memo_of, namers, submission
from orrery.artifacts import ObjectArtifacts, open_store
from orrery.dispatcher.sweeping import Policy, Sweep, Sweeper
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Completion
from orrery.worlds.errors import ArtifactNotFound, JobNotFound, StoreUnavailable
from orrery.worlds.plan import ArtifactRef

GRACE = 3600.0
NO_MEMOS = Policy(grace=GRACE, memo_bytes=0)


@dataclass
class House:
    """A store of jobs, a folder of artifacts, and a sweeper whose hours pass at once."""

    jobs: Jobs
    artifacts: ObjectArtifacts
    folder: Path
    clock: Clock
    sweeper: Sweeper

    async def hours(self, count: int) -> list[Sweep]:
        """A sweep, then one after every further hour."""
        sweeps = [await self.sweeper.sweep()]
        for _ in range(count):
            age(self.folder, GRACE + 1)
            self.clock.ahead += GRACE + 1
            sweeps.append(await self.sweeper.sweep())
        return sweeps

    async def has(self, ref: ArtifactRef) -> bool:
        try:
            await self.artifacts.get(ref)
        except ArtifactNotFound:
            return False
        return True


def house(jobs: Jobs, tmp_path: Path, policy: Policy = NO_MEMOS, clock: Clock | None = None, **beside: Any) -> House:
    artifacts, clock = open_store(tmp_path.as_uri()), clock or Clock()
    return House(jobs, artifacts, tmp_path, clock, Sweeper(namers(jobs, **beside), artifacts, policy, clock))


async def test_an_expired_job_goes_and_then_its_artifacts(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)
    upload = await here.artifacts.put(b"upload")
    await jobs.submit(submission("gone", upload, retention=0.0))
    refs = (upload, *await finish(jobs, here.artifacts))
    first = await here.sweeper.sweep()
    assert (first.jobs, first.artifacts, first.memos) == (1, 0, 2)
    with pytest.raises(JobNotFound):
        await jobs.get("gone")
    assert all([await here.has(ref) for ref in refs])
    (_, last) = await here.hours(1)
    assert (last.artifacts, last.artifact_bytes) == (3, sum(ref.size for ref in refs))
    assert not any([await here.has(ref) for ref in refs])


async def test_a_job_that_is_kept_keeps_all_it_names(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)
    upload = await here.artifacts.put(b"upload")
    await jobs.submit(submission("kept", upload))
    refs = (upload, *await finish(jobs, here.artifacts))
    sweeps = await here.hours(3)
    assert sum(sweep.artifacts for sweep in sweeps) == 0
    assert all([await here.has(ref) for ref in refs])


async def test_what_a_running_task_reads_and_may_go_on_from_stays(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)
    upload = await here.artifacts.put(b"upload")
    await jobs.submit(submission("running", upload))
    made = await do(jobs, here.artifacts, "encode")
    running = await claim(jobs, "publish")
    checkpoint = await here.artifacts.put(b"checkpoint")
    await jobs.checkpoint(running, checkpoint, 3)
    await here.hours(3)
    assert all([await here.has(ref) for ref in (upload, made, checkpoint)])
    await jobs.cancel("running")
    await here.hours(3)
    assert await here.has(upload)


async def test_a_fresh_upload_is_not_unneeded_yet(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)
    await here.artifacts.put(b"upload")
    sweep = await here.sweeper.sweep()
    assert (sweep.unneeded, sweep.artifacts) == (1, 0)


async def test_an_old_file_that_is_put_again_starts_anew(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)
    ref = await here.artifacts.put(b"upload")
    await here.sweeper.sweep()
    age(here.folder, GRACE + 1)
    here.clock.ahead += GRACE + 1
    await here.artifacts.put(b"upload")  # here again, and about to be named by a job
    assert not await here.artifacts.delete(ref.digest, older_than=GRACE)
    await jobs.submit(submission("new", ref))
    await here.sweeper.sweep()
    assert await here.has(ref)


async def test_what_is_named_while_the_sweep_runs_stays(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = house(jobs, tmp_path)
    ref = await here.artifacts.put(b"shared")
    await here.hours(0)
    age(here.folder, GRACE + 1)
    here.clock.ahead += GRACE + 1
    looked = 0
    whole = jobs.live_artifacts

    async def named_between_the_looks() -> AsyncIterator[str]:
        nonlocal looked
        looked += 1
        async for digest in whole():
            yield digest
        if looked == 1:
            await jobs.submit(submission("late", ref))

    monkeypatch.setattr(jobs, "live_artifacts", named_between_the_looks)
    assert (await here.sweeper.sweep()).artifacts == 0
    assert await here.has(ref)


async def test_what_memos_may_keep_has_a_budget_for_the_latest_used(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path, Policy(grace=GRACE, memo_bytes=250))
    refs = [await here.artifacts.put(bytes([k]) * 100) for k in range(4)]
    for k, ref in enumerate(refs):
        await here.artifacts.remember(f"{k}" * 64, {"out": ref})
        age(here.folder / "memo", 10)
    sweeps = await here.hours(1)
    assert [sweep.memos for sweep in sweeps] == [2, 0]
    assert [await here.has(ref) for ref in refs] == [False, False, True, True]
    assert await here.artifacts.recall("3" * 64) == {"out": refs[3]}
    assert await here.artifacts.memo("0" * 64) is None


async def test_what_a_job_names_costs_no_budget(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)  # of a budget of nothing
    await jobs.submit(submission("kept"))
    await finish(jobs, here.artifacts)
    assert [sweep.memos for sweep in await here.hours(2)] == [0, 0, 0]
    assert await here.artifacts.recall(memo_of("kept", "encode")) is not None


async def test_memos_that_nobody_used_for_long_go(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path, Policy(grace=GRACE, memo_seconds=3 * GRACE))
    for key in "ab":
        await here.artifacts.remember(key * 64, {"out": await here.artifacts.put(key.encode())})
    for _ in range(4):
        await here.hours(1)
        assert await here.artifacts.recall("a" * 64) is not None  # used
        here.clock.ahead = 0
    assert await here.artifacts.memo("b" * 64) is None


async def test_a_memo_of_what_is_gone_goes_too(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path, Policy(grace=GRACE))
    ref = await here.artifacts.put(b"x")
    await here.artifacts.remember("a" * 64, {"out": ref, "other": ArtifactRef(digest="0" * 64, size=3)})
    assert (await here.sweeper.sweep()).memos == 1
    assert await here.artifacts.memo("a" * 64) is None


async def test_a_worker_that_recalled_a_memo_in_time_finds_its_artifacts(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)
    ref = await here.artifacts.put(b"latents")
    await here.artifacts.remember("a" * 64, {"out": ref})
    age(here.folder, 10 * GRACE)
    await jobs.submit(submission("again"))
    taken = await claim(jobs, "encode")
    recalled = await here.artifacts.recall("a" * 64)
    assert recalled is not None
    age(here.folder, 10 * GRACE)
    assert (await here.sweeper.sweep()).memos == 1
    await here.sweeper.sweep()
    await jobs.complete(taken, Completion(outputs=recalled, memo=True, stage_seconds=0.0))
    await here.hours(2)
    assert await here.has(ref)


async def test_a_dry_run_counts_and_removes_nothing(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path, Policy(grace=GRACE, memo_bytes=0, dry_run=True))
    await jobs.submit(submission("done", retention=0.0))
    await finish(jobs, here.artifacts)
    stray = await here.artifacts.put(b"stray")
    sweeps = await here.hours(1)
    assert (sweeps[1].jobs, sweeps[1].artifacts, sweeps[1].artifact_bytes, sweeps[1].stored) == (1, 1, stray.size, 3)
    assert await here.has(stray)
    assert (await jobs.get("done")).state == "completed"


async def test_jobs_that_do_not_answer_to_the_end_save_every_artifact(tmp_path: Path) -> None:
    class Broken(MemoryJobs):
        async def live_artifacts(self) -> AsyncIterator[str]:
            yield "0" * 64
            raise StoreUnavailable("gone")

    here = house(Broken(), tmp_path)
    ref = await here.artifacts.put(b"x")
    here.clock.ahead = 10 * GRACE
    age(tmp_path, 10 * GRACE)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await here.sweeper.sweep()
    assert await here.has(ref)


async def test_uploads_that_were_broken_off_go(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "half").write_bytes(b"x")
    await here.sweeper.sweep()
    assert (tmp_path / "incoming" / "half").exists()
    age(tmp_path, 25 * 3600)
    await here.sweeper.sweep()
    assert not (tmp_path / "incoming" / "half").exists()


@dataclass
class Walk:
    """Submits, works, repeats, deletes and sweeps, as chance has it."""

    here: House
    chance: random.Random
    count: int = 0

    async def submit(self) -> None:
        self.count += 1
        upload = await self.here.artifacts.put(bytes([self.chance.randrange(4)]) * 10)
        retention = self.chance.choice([0.0, 1e6])
        await self.here.jobs.submit(submission(f"job-{self.count}", upload, retention=retention))

    async def work(self) -> None:
        pool = self.chance.choice(["encode", "publish"])
        taken = await self.here.jobs.claim([pool], "w", wait=0)
        if taken is not None:
            outputs = await self.outputs(memo_of(str(self.chance.randrange(3)), pool))  # few keys: most is remembered
            if self.chance.random() < 0.5:
                await self.here.sweeper.sweep()  # between a recall and its completion
            await self.here.jobs.complete(taken, Completion(outputs=outputs, memo=False, stage_seconds=0.1))

    async def outputs(self, key: str) -> dict[str, ArtifactRef]:
        outputs = await self.here.artifacts.recall(key)
        if outputs is None:
            outputs = {"out": await self.here.artifacts.put(f"{key} made".encode())}
            await self.here.artifacts.remember(key, outputs)
        return outputs

    async def drop(self) -> None:
        page = await self.here.jobs.list(after=None, limit=100, order="asc")
        if page.jobs:
            await self.here.jobs.delete(self.chance.choice(page.jobs).id)

    async def hour(self) -> None:
        age(self.here.folder, GRACE + 1)
        self.here.clock.ahead += GRACE + 1
        await self.here.sweeper.sweep()

    async def missing(self) -> list[str]:
        named = {digest async for digest in self.here.jobs.live_artifacts()}
        return [digest for digest in named if not (self.here.folder / "sha256" / digest[:2] / digest).exists()]


@pytest.mark.parametrize("seed", range(6))
async def test_no_job_that_is_there_ever_misses_a_file(jobs: Jobs, tmp_path: Path, seed: int) -> None:
    walk = Walk(house(jobs, tmp_path, Policy(grace=GRACE, memo_bytes=60)), random.Random(seed))
    for _ in range(150):
        action = walk.chance.choice([walk.submit, walk.submit, *[walk.work] * 4, walk.drop, walk.hour, walk.hour])
        await action()
        assert await walk.missing() == []
    assert walk.count > 10


async def test_two_sweepers_do_no_harm(jobs: Jobs, tmp_path: Path) -> None:
    here = house(jobs, tmp_path)
    other = Sweeper(namers(jobs), here.artifacts, NO_MEMOS, here.clock)
    for k in range(20):
        await jobs.submit(submission(f"job-{k}", retention=0.0))
    sweeps = await asyncio.gather(here.sweeper.sweep(), other.sweep())
    assert sum(sweep.jobs for sweep in sweeps) == 0
    for k in range(20):
        await jobs.cancel(f"job-{k}")
    sweeps = await asyncio.gather(here.sweeper.sweep(), other.sweep())
    assert sum(sweep.jobs for sweep in sweeps) == 20
