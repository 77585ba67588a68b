"""What a batch may be ordered from, and whose it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.batching import finish, jobs_of, jsonl, line, ordered, put, read, steps
from gateway.rig import Rig

BOB = {"X-Orrery-Tenant": "bob"}


async def test_the_input_may_be_deleted_once_the_batch_is_taken(rig: Rig) -> None:
    batch = await ordered(rig, line("a"))
    await rig.client.delete(f"/v1/files/{batch['input_file_id']}")
    assert (await finish(rig, batch["id"]))["status"] == "completed"


async def test_batches_are_listed_and_are_their_tenants_own(rig: Rig) -> None:
    ids = [(await ordered(rig, line(str(n)), headers=BOB if n == 1 else None))["id"] for n in range(3)]
    page = (await rig.client.get("/v1/batches", params={"limit": 1})).json()
    assert ([one["id"] for one in page["data"]], page["has_more"], page["last_id"]) == ([ids[2]], True, ids[2])
    page = (await rig.client.get("/v1/batches", params={"after": ids[2]})).json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == ([ids[0]], False)
    assert (await read(rig, ids[1], BOB))["id"] == ids[1]
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/output"), ("GET", "/errors")):
        answer = await rig.client.request(method, f"/v1/batches/{ids[1]}{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "batch_not_found")
    await steps(rig, 4)
    assert {job.tenant for job in await jobs_of(rig)} <= {"default", "bob"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input_file_id": "file-" + "0" * 32}, "input_file_id"),
        ({"input_file_id": None}, "input_file_id"),
        ({"endpoint": "/v1/chat/completions"}, "endpoint"),
        ({"endpoint": ["/v1/videos"]}, "endpoint"),
        ({"completion_window": "24"}, "completion_window"),
        ({"completion_window": "31d"}, "completion_window"),
        ({"completion_window": None}, "completion_window"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"a" * 65: ""}}, "metadata"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"metadata": {"a": "\ud800"}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after"),
        ({"priority": "batch"}, "priority"),
    ],
)
async def test_bad_orders_are_refused_with_the_field(rig: Rig, fields: dict[str, Any], field: str) -> None:
    file_id = await put(rig, jsonl(line("a")))
    order = {"input_file_id": file_id, "endpoint": "/v1/videos", "completion_window": "24h"} | fields
    headers = {"Content-Type": "application/json"}
    answer = await rig.client.post("/v1/batches", content=json.dumps(order), headers=headers)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert (await rig.client.get("/v1/batches")).json()["data"] == []


async def test_only_files_for_batches_are_taken(rig: Rig) -> None:
    file_id = await put(rig, jsonl(line("a")), "user_data")
    order = {"input_file_id": file_id, "endpoint": "/v1/videos", "completion_window": "24h"}
    answer = await rig.client.post("/v1/batches", json=order)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "input_file_id")


async def test_an_order_that_is_repeated_under_its_key_is_one_batch(rig: Rig) -> None:
    file_id = await put(rig, jsonl(line("a")))
    order = {"input_file_id": file_id, "endpoint": "/v1/videos", "completion_window": "24h"}
    made = [
        (await rig.client.post("/v1/batches", json=order, headers={"Idempotency-Key": key})).json()["id"]
        for key in ("one", "one", "two")
    ]
    assert (made[0] == made[1], made[1] == made[2]) == (True, False)
    assert len((await rig.client.get("/v1/batches")).json()["data"]) == 2
