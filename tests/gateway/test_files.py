"""`/v1/files` from the upload to the bytes, and files as references."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.rig import Rig, rig_of
from gateway.samples import gradient, png

NAME = "Würfel/ und 'Ende'.bin"
BOB = {"X-Orrery-Tenant": "bob"}


async def put(rig: Rig, data: bytes = b"{}", name: str = "in.jsonl", headers: Any = None, **fields: str) -> httpx.Response:
    form = {"purpose": "batch"} | fields
    return await rig.client.post("/v1/files", data=form, files={"file": (name, data)}, headers=headers)


async def test_a_file_comes_back_as_it_was_sent(rig: Rig) -> None:
    data = bytes(range(256)) * 9000
    answer = await put(rig, data, NAME, purpose="user_data")
    made = answer.json()
    assert answer.status_code == 200
    assert made["id"].startswith("file-")
    assert {name: made[name] for name in ("object", "bytes", "filename", "purpose", "status", "expires_at")} == {
        "object": "file",
        "bytes": len(data),
        "filename": NAME,
        "purpose": "user_data",
        "status": "processed",
        "expires_at": None,
    }
    assert (await rig.client.get(f"/v1/files/{made['id']}")).json() == made
    content = await rig.client.get(f"/v1/files/{made['id']}/content")
    assert content.content == data
    assert content.headers["content-disposition"] == "attachment; filename*=UTF-8''W%C3%BCrfel%2F%20und%20%27Ende%27.bin"
    assert content.headers["x-content-type-options"] == "nosniff"
    again = await rig.client.get(f"/v1/files/{made['id']}/content", headers={"If-None-Match": content.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_an_empty_file_is_a_file(rig: Rig) -> None:
    made = (await put(rig, b"", purpose="user_data")).json()
    assert made["bytes"] == 0
    content = await rig.client.get(f"/v1/files/{made['id']}/content")
    assert (content.status_code, content.content) == (200, b"")


async def test_a_deleted_file_is_gone(rig: Rig) -> None:
    made = (await put(rig)).json()
    assert (await rig.client.delete(f"/v1/files/{made['id']}")).json() == {"id": made["id"], "object": "file", "deleted": True}
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        answer = await rig.client.request(method, f"/v1/files/{made['id']}{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "file_not_found")


async def test_files_are_listed_in_pages_and_by_purpose(rig: Rig) -> None:
    ids = [(await put(rig, purpose=purpose)).json()["id"] for purpose in ("batch", "vision", "batch")]

    async def listed(**query: Any) -> tuple[list[str], bool]:
        page = (await rig.client.get("/v1/files", params=query)).json()
        found = [file["id"] for file in page["data"]]
        assert (page["object"], page["first_id"], page["last_id"]) == (
            "list",
            found[0] if found else None,
            found[-1] if found else None,
        )
        return found, page["has_more"]

    assert await listed() == (ids[::-1], False)
    assert await listed(order="asc", limit=1) == (ids[:1], True)
    assert await listed(purpose="batch") == ([ids[2], ids[0]], False)
    assert await listed(after=ids[2], limit=2) == ([ids[1], ids[0]], False)
    assert await listed(purpose="evals") == ([], False)
    refused = await rig.client.get("/v1/files", params={"after": "file-" + "0" * 32})
    assert refused.status_code == 404


async def test_a_file_is_its_tenants_own(rig: Rig) -> None:
    made = (await put(rig)).json()
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert (await rig.client.request(method, f"/v1/files/{made['id']}{path}", headers=BOB)).status_code == 404
    assert (await rig.client.get("/v1/files", headers=BOB)).json()["data"] == []
    assert (await rig.client.get(f"/v1/files/{made['id']}")).status_code == 200


async def test_files_expire_as_they_were_told(rig: Rig) -> None:
    policy = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = (await put(rig, purpose="vision", **policy)).json()
    assert made["expires_at"] - made["created_at"] == pytest.approx(3600, abs=1)
    batch = (await put(rig)).json()
    assert batch["expires_at"] - batch["created_at"] == pytest.approx(30 * 86400, abs=1)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"purpose": "decoration"}, "purpose"),
        ({"purpose": ""}, "purpose"),
        ({"expires_after": "3600"}, "expires_after"),
        ({"expires_after[anchor]": "created_at"}, "expires_after"),
        ({"expires_after[anchor]": "now", "expires_after[seconds]": "3600"}, "expires_after"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "3599"}, "expires_after"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "2592001"}, "expires_after"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "soon"}, "expires_after"),
        ({"prupose": "batch"}, "prupose"),
    ],
)
async def test_bad_fields_are_named_and_nothing_is_kept(rig: Rig, fields: dict[str, str], field: str) -> None:
    answer = await put(rig, **fields)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert await rig.left_behind() == []


async def test_a_form_without_a_file_is_refused(rig: Rig) -> None:
    for form in ({"purpose": (None, "batch")}, {"purpose": (None, "batch"), "file": (None, "text")}):
        answer = await rig.client.post("/v1/files", files=form)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "file")
    answer = await rig.client.post("/v1/files", json={"purpose": "batch"})
    assert answer.status_code == 415


async def test_a_file_that_is_too_large_is_refused_and_not_kept() -> None:
    async with rig_of(max_file_bytes=100_000) as rig:
        answer = await put(rig, b"x" * 100_001)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "upload_too_large")
        assert await rig.left_behind() == []
        assert (await put(rig, b"x" * 90_000)).status_code == 200


@pytest.mark.parametrize("file_id", ["file-1", "file-" + "0" * 32, "file-" + "0" * 31 + "%0a", "..%2f..%2fetc"])
async def test_what_no_file_is_called_is_not_found(rig: Rig, file_id: str) -> None:
    for path in ("", "/content"):
        assert (await rig.client.get(f"/v1/files/{file_id}{path}")).status_code == 404


async def test_a_file_conditions_a_world(rig: Rig) -> None:
    made = (await put(rig, png(64, 48), "in.png", purpose="vision")).json()
    for reference in ({"file_id": made["id"]}, made["id"]):
        job = (await rig.post(input_reference=reference)).json()
        assert job["workflow"] == "video2world"
        assert (await rig.conditioning(job["id"])).tolist() == [gradient(64, 48).tolist()]


async def test_a_file_of_somebody_else_conditions_nothing(rig: Rig) -> None:
    made = (await put(rig, png(64, 48), "in.png", purpose="vision", headers=BOB)).json()
    before = await rig.left_behind()
    for reference in (made["id"], "file-../../x"):
        answer = await rig.post(input_reference={"file_id": reference})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "input_reference")
    assert await rig.left_behind() == before
