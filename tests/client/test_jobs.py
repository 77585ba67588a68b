"""`orrery jobs` against a gateway behind a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.rig import Rig, rig_of
from gateway.served import served
from orrery.client.cli import app
from orrery.jobs.memory import MemoryJobs
from orrery.worlds.errors import JobNotFinished, JobNotFound


class Terminal:
    """Runs commands beside the gateway."""

    def __init__(self, rig: Rig, url: str, clock: list[float]) -> None:
        self.rig = rig
        self.url = url
        self.clock = clock

    async def run(self, *words: str) -> Result:
        arguments = ["jobs", *words, "--url", self.url]
        return await asyncio.to_thread(CliRunner().invoke, app, arguments)

    async def says(self, *words: str) -> str:
        result = await self.run(*words)
        assert result.exit_code == 0, result.exception
        return result.output

    async def json(self, *words: str) -> Any:
        return json.loads(await self.says(*words, "--json"))

    async def new(self, **fields: Any) -> str:
        job_id: str = (await self.rig.post(**fields)).json()["id"]
        return job_id

    async def dead(self) -> str:
        job_id = await self.new()
        while await self.rig.jobs.claim(["guardrail_text"], "w", wait=0):
            self.clock[0] += 1000
        return job_id


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    clock = [1_000_000.0]
    async with rig_of(MemoryJobs(clock=lambda: clock[0]), webhooks=True) as rig, served(rig.app) as client:
        yield Terminal(rig, str(client.base_url), clock)


async def test_jobs_are_listed_the_latest_first(terminal: Terminal) -> None:
    ids = [await terminal.new(seed=seed, priority="batch") for seed in range(3)]
    lines = (await terminal.says("list")).splitlines()
    assert lines[0].split() == ["id", "status", "stage", "progress", "position", "eta", "tenant", "priority", "created"]
    assert [line.split()[0] for line in lines[1:]] == ids[::-1]
    assert lines[1].split()[1:7] == ["queued", "guardrail_text", "0", "%", "2", "-"]
    assert "batch" in lines[1]
    page = await terminal.json("list", "--limit", "1", "--after", ids[2])
    assert ([job["id"] for job in page["data"]], page["has_more"]) == ([ids[1]], True)


async def test_a_job_is_shown_with_its_tasks(terminal: Terminal) -> None:
    job_id = await terminal.new()
    claim = await terminal.rig.jobs.claim(["guardrail_text"], "worker-3", wait=0)
    assert claim is not None
    text = await terminal.says("inspect", job_id)
    assert f"id         {job_id}" in text
    assert "guard_prompt         running     attempt 1  on worker-3" in text
    assert (await terminal.json("inspect", job_id))["id"] == job_id


async def test_a_job_is_cancelled(terminal: Terminal) -> None:
    job_id = await terminal.new()
    assert await terminal.says("cancel", job_id) == f"{job_id} cancelled\n"
    assert (await terminal.rig.jobs.get(job_id)).state == "cancelled"


async def test_dead_jobs_are_found_understood_and_revived(terminal: Terminal) -> None:
    job_id = await terminal.dead()
    assert job_id in await terminal.says("dead")
    text = await terminal.says("inspect", job_id)
    assert "attempts_exhausted" in text
    assert "lost 3" in text
    assert await terminal.says("requeue", job_id) == f"{job_id} queued\n"
    assert (await terminal.json("dead"))["data"] == []


async def test_a_webhook_is_asked_for_again_once_there_is_one(terminal: Terminal) -> None:
    job_id = await terminal.new()
    early = await terminal.run("replay", job_id)
    assert isinstance(early.exception, JobNotFinished)
    await terminal.rig.jobs.cancel(job_id)
    assert await terminal.says("replay", job_id) == f"{job_id} scheduled\n"
    assert await terminal.rig.app.state.gateway.deliveries.asked() == [job_id]


async def test_refusals_are_the_gateways_own(terminal: Terminal) -> None:
    for action in ("inspect", "cancel", "requeue", "replay"):
        result = await terminal.run(action, "video_" + "0" * 32)
        assert isinstance(result.exception, JobNotFound)
    assert (await terminal.run("list", "--limit", "0")).exit_code == 2


async def test_without_a_secret_nothing_can_be_sent_again() -> None:
    async with rig_of() as rig:
        job_id = (await rig.post()).json()["id"]
        answer = await rig.client.post(f"/v1/videos/{job_id}/webhook:replay")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "webhooks_not_set_up")
