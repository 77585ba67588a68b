"""Jobs that are cancelled, waited for, left by their client, or dead."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from gateway.rig import VIDEO, Rig, eventually, rig_of
from gateway.served import served
from orrery.jobs.memory import MemoryJobs

SYNC = "/v1/videos/sync"
PROMPT = {"prompt": "a robot arm stacks boxes"}


async def job_ids(rig: Rig) -> list[str]:
    return [job.id for job in (await rig.jobs.list(after=None, limit=100, order="asc")).jobs]


async def only_job(rig: Rig) -> str:
    (job_id,) = await eventually(lambda: job_ids(rig))
    return job_id


async def test_cancelling_ends_a_job_and_says_so(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    answer = await rig.client.post(f"/v1/videos/{job_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert "openai-poll-after-ms" not in answer.headers
    again = await rig.client.post(f"/v1/videos/{job_id}/cancel")
    assert again.json() == answer.json()


async def test_a_completed_job_stays_completed(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    await rig.work(job_id)
    answer = await rig.client.post(f"/v1/videos/{job_id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")


@pytest.mark.parametrize("action", ["cancel", "requeue"])
async def test_there_must_be_a_job(rig: Rig, action: str) -> None:
    for job_id in ("video_" + "0" * 32, "nothing"):
        answer = await rig.client.post(f"/v1/videos/{job_id}/{action}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")


async def test_a_running_task_is_told_that_its_job_is_cancelled(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    claim = await rig.jobs.claim(["guardrail_text"], "w", wait=0)
    assert claim is not None
    await rig.client.post(f"/v1/videos/{job_id}/cancel")
    assert await rig.jobs.renew(claim) == "cancelled"


async def test_the_answer_to_a_synchronous_request_is_the_file(rig: Rig) -> None:
    request = asyncio.create_task(rig.client.post(SYNC, json=PROMPT | {"seed": 9}))
    job_id = await only_job(rig)
    await rig.work(job_id)
    answer = await request
    assert (answer.status_code, answer.content) == (200, VIDEO)
    assert answer.headers["content-type"] == "video/mp4"
    assert (answer.headers["x-orrery-job"], answer.headers["x-orrery-seed"]) == (job_id, "9")
    assert float(answer.headers["x-orrery-seconds"]) >= 0


async def test_a_synchronous_request_checks_what_any_request_checks(rig: Rig) -> None:
    answer = await rig.client.post(SYNC, json=PROMPT | {"seed": -1})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "seed")
    answer = await rig.client.post(SYNC, json=PROMPT, headers={"X-Orrery-Cancel-On-Disconnect": "perhaps"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "X-Orrery-Cancel-On-Disconnect")
    assert await rig.left_behind() == []


async def test_a_failed_job_is_a_typed_answer(rig: Rig) -> None:
    request = asyncio.create_task(rig.client.post(SYNC, json=PROMPT))
    error = {"code": "stage_unavailable", "message": "the denoiser went away"}
    await rig.work(await only_job(rig), failing={"denoiser": error})
    answer = await request
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stage_unavailable")


@pytest.mark.parametrize(("headers", "state"), [({}, "cancelled"), ({"X-Orrery-Cancel-On-Disconnect": "false"}, "queued")])
async def test_waiting_has_an_end(headers: dict[str, str], state: str) -> None:
    async with rig_of(generation_timeout_seconds=0.05) as rig:
        answer = await rig.client.post(SYNC, json=PROMPT, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "generation_timeout")
        job_id = await only_job(rig)
        assert job_id in answer.json()["error"]["message"]
        assert (await rig.jobs.get(job_id)).state == state


KEY = {"Idempotency-Key": "mine"}
CANCEL, GO_ON = ({"X-Orrery-Cancel-On-Disconnect": word} for word in ("true", "false"))


@pytest.mark.parametrize(("headers", "cancelled"), [({}, True), (GO_ON, False), (KEY, False), (KEY | CANCEL, True)], ids=str)
async def test_a_client_that_leaves_cancels_its_job_if_it_wants_so(rig: Rig, headers: dict[str, str], cancelled: bool) -> None:
    async with served(rig.app) as client:
        leaving = asyncio.create_task(client.post(SYNC, json=PROMPT, headers=headers))
        job_id = await only_job(rig)
        leaving.cancel()

        async def ended() -> bool:
            return (await rig.jobs.get(job_id)).state.ended

        if cancelled:
            await eventually(ended)
            assert (await rig.jobs.get(job_id)).state == "cancelled"
        else:
            await asyncio.sleep(0.3)
            assert not await ended()


async def test_who_comes_again_with_the_key_gets_the_same_file(rig: Rig) -> None:
    async with served(rig.app) as client:
        first = asyncio.create_task(client.post(SYNC, json=PROMPT, headers=KEY))
        job_id = await only_job(rig)
        first.cancel()
        second = asyncio.create_task(client.post(SYNC, json=PROMPT, headers=KEY))
        await rig.work(job_id)
        answer = await second
    assert (answer.content, answer.headers["x-orrery-job"], answer.headers["idempotent-replayed"]) == (VIDEO, job_id, "true")


async def killed(jobs: MemoryJobs, clock: list[float]) -> None:
    """Every attempt at the first task ends with its worker gone."""
    while await jobs.claim(["guardrail_text"], "w", wait=0):
        clock[0] += 1000


async def dead_of(client: httpx.AsyncClient) -> list[Any]:
    data: list[Any] = (await client.get("/v1/jobs/dead")).json()["data"]
    return data


async def test_a_dead_job_is_listed_and_gets_another_chance() -> None:
    clock = [1_000_000.0]
    async with rig_of(MemoryJobs(clock=lambda: clock[0])) as rig:
        dead, queued = [(await rig.post(seed=seed)).json()["id"] for seed in (1, 2)]
        await rig.jobs.cancel(queued)
        await killed(rig.jobs, clock)
        (shown,) = await dead_of(rig.client)
        assert (shown["id"], shown["status"], shown["error"]["code"]) == (dead, "failed", "attempts_exhausted")
        answer = await rig.client.post(f"/v1/videos/{dead}/requeue")
        assert (answer.status_code, answer.json()["status"], answer.json()["error"]) == (200, "queued", None)
        assert await dead_of(rig.client) == []
        await rig.work(dead)
        assert (await rig.jobs.get(dead)).state == "completed"
        unchanged = await rig.client.post(f"/v1/videos/{queued}/requeue")
        assert unchanged.json()["status"] == "cancelled"
