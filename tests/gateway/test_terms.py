"""Tenants, priorities, keys, retention: on which terms a job is taken, and what is refused."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any

import pytest

from gateway.rig import Rig, rig_of
from gateway.samples import png
from orrery.artifacts.errors import StorageFull, StorageUnavailable
from orrery.gateway.terms import body_digest
from orrery.jobs.memory import MemoryJobs

PROMPT = "a robot arm stacks boxes"


async def created(rig: Rig, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    return await rig.client.post("/v1/videos", json={"prompt": PROMPT} | fields, headers=headers)


async def test_a_job_is_of_its_tenant_and_class(rig: Rig) -> None:
    answer = await created(rig, {"X-Orrery-Tenant": "team-7.b"}, priority="interactive")
    job = await rig.jobs.get(answer.json()["id"])
    assert (job.tenant, job.priority) == ("team-7.b", "interactive")
    assert (answer.json()["tenant"], answer.json()["priority"]) == ("team-7.b", "interactive")


async def test_without_a_word_it_is_a_standard_job_of_the_default_tenant_for_a_week(rig: Rig) -> None:
    job = (await created(rig)).json()
    assert (job["tenant"], job["priority"], job["expires_at"]) == ("default", "standard", None)
    done = (await rig.client.post(f"/v1/videos/{job['id']}/cancel")).json()
    assert done["expires_at"] - done["finished_at"] == pytest.approx(7 * 24 * 3600, abs=2)


@pytest.mark.parametrize("form", [False, True])
async def test_a_client_may_say_how_long_its_job_is_kept(rig: Rig, form: bool) -> None:
    body = {"files": {"prompt": (None, PROMPT), "expires_after": (None, "90")}} if form else {}
    answer = await rig.client.post("/v1/videos", **(body or {"json": {"prompt": PROMPT, "expires_after": 90}}))
    done = (await rig.client.post(f"/v1/videos/{answer.json()['id']}/cancel")).json()
    assert done["expires_at"] - done["finished_at"] == pytest.approx(90, abs=2)


@pytest.mark.parametrize(
    ("headers", "fields", "at_fault"),
    [
        ({"X-Orrery-Tenant": ""}, {}, "X-Orrery-Tenant"),
        ({"X-Orrery-Tenant": "a b"}, {}, "X-Orrery-Tenant"),
        ({"X-Orrery-Tenant": "{x}"}, {}, "X-Orrery-Tenant"),
        ({"X-Orrery-Tenant": "x" * 65}, {}, "X-Orrery-Tenant"),
        ({"Idempotency-Key": ""}, {}, "Idempotency-Key"),
        ({"Idempotency-Key": "x" * 256}, {}, "Idempotency-Key"),
        ({"Idempotency-Key": "a\tb"}, {}, "Idempotency-Key"),
        ({}, {"priority": "urgent"}, "priority"),
        ({}, {"priority": 1}, "priority"),
        ({}, {"expires_after": 59}, "expires_after"),
        ({}, {"expires_after": 10**9}, "expires_after"),
        ({}, {"expires_after": True}, "expires_after"),
        ({}, {"expires_after": 90.5}, "expires_after"),
        ({}, {"expires_after": "soon"}, "expires_after"),
        ({}, {"webhook_url": "https://example.org/hook"}, "webhook_url"),
    ],
    ids=str,
)
async def test_terms_that_are_refused_leave_nothing(rig: Rig, headers: dict[str, str], fields: Any, at_fault: str) -> None:
    answer = await created(rig, headers, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (422, "invalid_field", at_fault)
    assert error["allowed"]
    assert await rig.left_behind() == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "/hook",
        "https://",
        "https://user@example.org/",
        "https://user:pass@example.org/",
        "https://example.org/#part",
        "https://example.org:99999/",
        "https://example.org:0/",
        "https://[::1/",
        "https://exa mple.org/",
        "https://example.org/\n",
        "https://exämple.org/",
        "https://example.org/" + "x" * 2048,
        7,
    ],
    ids=lambda url: str(url)[:30],
)
async def test_webhooks_go_to_web_addresses(url: Any) -> None:
    async with rig_of(webhooks=True) as rig:
        answer = await created(rig, webhook_url=url)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "webhook_url")
        assert await rig.left_behind() == []


async def test_a_webhook_is_shown_as_a_field_and_not_as_a_note() -> None:
    async with rig_of(webhooks=True) as rig:
        job = (await created(rig, webhook_url="https://example.org/hook?of=me")).json()
        assert (job["webhook_url"], job["notes"]) == ("https://example.org/hook?of=me", {})


async def test_models_tell_the_terms(rig: Rig) -> None:
    (model,) = (await rig.client.get("/v1/models")).json()["data"]
    world = model["parameters"]["text2world"]
    assert world["priority"] == {"default": "standard", "allowed": ["interactive", "standard", "batch"]}
    assert "2592000 seconds" in world["expires_after"]["allowed"]
    assert set(model["parameters"]["text2image"]) >= {"priority"}
    assert not {"webhook_url", "expires_after"} & set(model["parameters"]["text2image"])


KEY = {"Idempotency-Key": "order 66/ä".encode("ascii", "replace").decode()}


async def test_a_repeated_request_is_the_same_job(rig: Rig) -> None:
    first, again = await created(rig, KEY, seed=4), await created(rig, KEY, seed=4, size=None)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(await rig.left_behind()) == 1


async def test_another_body_under_the_same_key_is_refused(rig: Rig) -> None:
    await created(rig, KEY, seed=4)
    answer = await created(rig, KEY, seed=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_conflict")
    assert len(await rig.left_behind()) == 1


async def test_a_key_is_its_tenants_own(rig: Rig) -> None:
    answers = [await created(rig, KEY | {"X-Orrery-Tenant": name}, seed=seed) for seed, name in enumerate(("a", "b"))]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.json()["id"] for answer in answers}) == 2


async def test_duplicates_at_the_same_time_are_one_job(rig: Rig) -> None:
    answers = await asyncio.gather(*(created(rig, KEY) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19


async def test_an_upload_is_part_of_the_body(rig: Rig) -> None:
    async def upload(data: bytes) -> Any:
        files = {"input_reference": ("in.png", data)}
        return await rig.client.post("/v1/videos", data={"prompt": PROMPT}, files=files, headers=KEY)

    first, same, other = await upload(png(64, 48)), await upload(png(64, 48)), await upload(png(48, 64))
    assert first.json()["id"] == same.json()["id"]
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_conflict")


def test_a_body_has_one_digest_however_it_is_written() -> None:
    digest = body_digest({"prompt": "x", "seed": 1}, None)
    assert body_digest({"seed": 1, "prompt": "x", "size": None}, None) == digest
    assert body_digest({"seed": 2, "prompt": "x"}, None) != digest
    assert body_digest({"seed": 1, "prompt": "x"}, BytesIO(b"")) != digest
    file = BytesIO(b"abc")
    file.read()
    assert body_digest({}, file) == body_digest({}, BytesIO(b"abc")) != body_digest({}, BytesIO(b"abd"))
    assert file.tell() == 0


async def test_a_full_queue_says_when_to_come_again() -> None:
    async with rig_of(MemoryJobs(max_waiting_per_pool=6)) as rig:
        answers = [await created(rig, seed=seed) for seed in range(6)]
        assert answers[0].status_code == 202
        refused = answers[-1]
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        accepted = [answer.json()["id"] for answer in answers if answer.status_code == 202]
        assert await rig.left_behind() == accepted


@pytest.mark.parametrize(("error", "status"), [(StorageFull, 507), (StorageUnavailable, 503)])
async def test_an_upload_that_cannot_be_stored_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: type[StorageUnavailable], status: int
) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise error("the artifact store refuses")

    monkeypatch.setattr(rig.artifacts, "put", refuse)
    answer = await rig.upload(png(64, 48))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, error.code)
    assert await rig.left_behind() == []


async def test_images_have_terms_too(rig: Rig) -> None:
    request = asyncio.create_task(
        rig.client.post(
            "/v1/images/generations", json={"prompt": PROMPT, "priority": "batch"}, headers={"X-Orrery-Tenant": "t"}
        )
    )
    while not (jobs := (await rig.jobs.list(after=None, limit=1, order="asc")).jobs):
        await asyncio.sleep(0.01)
    assert (jobs[0].tenant, jobs[0].priority) == ("t", "batch")
    await rig.work(jobs[0].id)
    assert (await request).status_code == 200
    refused = await rig.client.post("/v1/images/generations", json={"prompt": PROMPT, "priority": "now"})
    assert refused.json()["error"]["field"] == "priority"
    unknown = await rig.client.post("/v1/images/generations", json={"prompt": PROMPT, "webhook_url": "https://x.org"})
    assert unknown.json()["error"]["code"] == "unknown_field"
