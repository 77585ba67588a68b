"""What a key's holder may see and do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.callers import PROMPT, Caller, guarded
from gateway.rig import eventually
from gateway.samples import png
from gateway.served import lines_of, served
from orrery.jobs.quotas import MemoryQuotas
from orrery.jobs.records import Submission

A, B, ADMIN = {"tenant": "a"}, {"tenant": "b"}, {"tenant": "ops", "admin": True}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("GET", "/content"),
        ("GET", "/content?variant=preview"),
        ("GET", "/events"),
    ],
)
async def test_jobs_of_others_are_not_there(tmp_path: Path, method: str, path: str) -> None:
    async with guarded(tmp_path, A, B, ADMIN) as (rig, (a, b, admin)):
        job_id = await a.create()
        missing = "video_" + "0" * 32
        answers = [
            await rig.client.request(method, f"/v1/videos/{name}{path}", headers=b.headers) for name in (job_id, missing)
        ]
        told = [(answer.status_code, answer.text.replace(job_id, missing)) for answer in answers]
        assert told[0] == told[1]
        assert told[0][0] == 404
        assert (await rig.jobs.get(job_id)).state == "queued"
        assert (await a.get(f"/v1/videos/{job_id}")).json()["tenant"] == "a"
        assert (await admin.get(f"/v1/videos/{job_id}")).status_code == 200


async def test_lists_have_ones_own_jobs(tmp_path: Path) -> None:
    async with guarded(tmp_path, A, B, ADMIN) as (_, (a, b, admin)):
        of_a, of_b = [], []
        for _ in range(3):
            of_a.append(await a.create())
            of_b.append(await b.create())
        first = (await a.get("/v1/videos", params={"limit": 2, "order": "asc"})).json()
        assert ([job["id"] for job in first["data"]], first["has_more"]) == (of_a[:2], True)
        rest = (await a.get("/v1/videos", params={"limit": 2, "order": "asc", "after": first["last_id"]})).json()
        assert ([job["id"] for job in rest["data"]], rest["has_more"]) == (of_a[2:], False)
        assert (await a.get("/v1/videos", params={"after": of_b[0]})).status_code == 404
        assert len((await admin.get("/v1/videos")).json()["data"]) == 6


async def test_the_tenant_is_the_keys(tmp_path: Path) -> None:
    async with guarded(tmp_path, A, B) as (rig, (a, _)):
        assert (await a.post(headers={"X-Orrery-Tenant": "a"})).json()["tenant"] == "a"
        answer = await a.post(headers={"X-Orrery-Tenant": "b"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert answer.json()["error"]["allowed"] == ["a"]
        assert {job.tenant for job in (await rig.jobs.list(after=None, limit=9, order="asc")).jobs} == {"a"}


async def test_a_key_for_some_models(tmp_path: Path) -> None:
    names = {"models": ("tiny-predict2", "predict2-2b")}
    async with guarded(tmp_path, A | {"models": ("predict2-2b",)}, **names) as (rig, (a,)):
        answer = await a.post()
        assert (answer.status_code, answer.json()["error"]["field"]) == (403, "model")
        assert (await a.post(json=PROMPT | {"model": "predict2-2b"})).status_code == 202
        assert [job.model for job in (await rig.jobs.list(after=None, limit=9, order="asc")).jobs] == ["predict2-2b"]


async def test_an_operators_work_needs_an_admins_key(tmp_path: Path) -> None:
    async with guarded(tmp_path, A, ADMIN, webhooks=True) as (_, (a, admin)):
        job_id = await a.create()
        for path in ("/v1/jobs/dead", "/metrics", "/v1/metrics"):
            assert (await a.get(path)).json()["error"]["code"] == "forbidden", path
            assert (await admin.get(path)).status_code == 200
        for action in ("requeue", "webhook:replay"):
            assert (await a.post(f"/v1/videos/{job_id}/{action}")).status_code == 403
        assert (await admin.post(f"/v1/videos/{job_id}/requeue")).status_code == 200
        assert (await admin.post(f"/v1/videos/{job_id}/webhook:replay")).status_code == 409  # it has not ended


async def test_files_of_others_are_not_there(tmp_path: Path) -> None:
    async with guarded(tmp_path, A, B) as (_, (a, b)):
        files = {"file": ("in.png", png(8, 8)), "purpose": (None, "vision")}
        made = await a.client.post("/v1/files", files=files, headers=a.headers)
        assert made.status_code in (200, 201), made.text
        path = f"/v1/files/{made.json()['id']}"
        assert (await a.get(path)).status_code == 200
        assert (await b.get(path)).status_code == 404
        assert (await b.get(path + "/content")).status_code == 404
        assert (await b.get("/v1/files")).json()["data"] == []
        reference = {"file_id": made.json()["id"]}
        assert (await a.post(json=PROMPT | {"input_reference": reference})).status_code == 202
        assert (await b.post(json=PROMPT | {"input_reference": reference})).status_code in (404, 422)


async def test_events_are_ones_own(tmp_path: Path) -> None:
    async with guarded(tmp_path, A, B, ADMIN) as (rig, (a, b, admin)), served(rig.app) as client:

        async def first_job(caller: Caller) -> str:
            """The job of the first event from the beginning on."""
            async with client.stream("GET", "/v1/events", headers=caller.headers | {"Last-Event-ID": "0"}) as answer:
                lines = await lines_of(answer, 5)
            return next(line for line in lines if line.startswith("data: "))

        of_b, of_a = await b.create(), await a.create()
        assert of_b in await first_job(b)
        assert of_a in await first_job(a)
        assert of_b in await first_job(admin)


QUOTAS = [
    ({"jobs": 2}, 2, "jobs"),
    ({"concurrent": 1}, 1, "concurrent"),
    ({"jobs": 5, "concurrent": 3}, 3, "concurrent"),
    ({"jobs": 0}, 0, "jobs"),
]


@pytest.mark.parametrize(("quota", "taken", "name"), QUOTAS, ids=str)
async def test_quotas_are_kept(tmp_path: Path, quota: dict[str, Any], taken: int, name: str) -> None:
    async with guarded(tmp_path, A | {"quota": quota}, B) as (rig, (a, b)):
        for _ in range(taken):
            await a.create()
        answer = await a.post()
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (429, "quota_exceeded")
        assert name in error["message"]
        assert int(answer.headers["Retry-After"]) >= 1
        assert len((await rig.jobs.list(after=None, limit=9, order="asc")).jobs) == taken
        await b.create()


async def test_a_job_that_ended_gives_its_place_back_and_its_seconds_count(tmp_path: Path) -> None:
    async with guarded(tmp_path, A | {"quota": {"concurrent": 1, "device_seconds": 0.1}}) as (rig, (a,)):
        await rig.work(await a.create())
        answer = await a.post()  # the one before took half a second in each of its stages
        assert "device_seconds" in answer.json()["error"]["message"]
    async with guarded(tmp_path, A | {"quota": {"concurrent": 1}}) as (rig, (a,)):
        job_id = await a.create()
        assert (await a.post()).status_code == 429
        await a.client.delete(f"/v1/videos/{job_id}", headers=a.headers)
        job_id = await a.create()
        await a.post(f"/v1/videos/{job_id}/cancel")
        await a.create()


async def test_a_job_that_is_about_to_be_submitted_is_not_taken_for_a_deleted_one(tmp_path: Path) -> None:
    now = [1000.0]
    quotas = MemoryQuotas(lambda: now[0])
    async with guarded(tmp_path, A | {"quota": {"concurrent": 1}}, quotas=quotas) as (_, (a,)):
        await quotas.reserve(a.key.id, "video_" + "0" * 32, a.key.quota)
        assert (await a.post()).status_code == 429
        now[0] += 120
        assert (await a.post()).status_code == 202


async def test_what_is_refused_or_was_there_costs_nothing(tmp_path: Path) -> None:
    async with guarded(tmp_path, A | {"quota": {"jobs": 2}}, max_waiting_per_tenant=50_000) as (_, (a,)):
        assert (await a.post(json={"prompt": ""})).status_code == 422
        for _ in range(3):
            assert (await a.post(headers={"Idempotency-Key": "one"})).status_code == 202
        await a.create()
        assert (await a.post()).status_code == 429


async def test_many_at_once_are_not_more_than_the_quota(tmp_path: Path) -> None:
    async with guarded(tmp_path, A | {"quota": {"concurrent": 3}}) as (_, (a,)):
        answers = await asyncio.gather(*(a.post() for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 7


async def test_waiting_for_ones_own_job_works_and_the_gateway_itself_sees_all(tmp_path: Path) -> None:
    async with guarded(tmp_path, A) as (rig, (a,)):
        waiting = asyncio.create_task(a.post("/v1/videos/sync"))

        async def ids() -> list[str]:
            return [job.id for job in (await rig.jobs.list(after=None, limit=9, order="asc")).jobs]

        (job_id,) = await eventually(ids)
        await rig.work(job_id)
        assert (await waiting).status_code == 200
        known = await rig.app.state.gateway.jobs.get(job_id)
        assert known.tenant == "a"
        assert Submission.model_fields["tenant"].default == "default"  # what `OwnedJobs` takes for no tenant
