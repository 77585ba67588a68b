"""Files of a job: whole, in parts, and not again."""

from __future__ import annotations

import hashlib

import pytest

from gateway.rig import SPRITESHEET, THUMBNAIL, VIDEO, Rig

SIZE = len(VIDEO)
ETAG = f'"{hashlib.sha256(VIDEO).hexdigest()}"'


@pytest.fixture
async def url(rig: Rig) -> str:
    job_id = (await rig.post()).json()["id"]
    await rig.work(job_id)
    return f"/v1/videos/{job_id}/content"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=-{SIZE + 10}", 0, SIZE),
        (f"bytes={SIZE - 1}-{SIZE + 500}", SIZE - 1, SIZE),
        ("Bytes = 5 - 9".replace(" = ", "="), 5, 10),
    ],
)
async def test_a_part_is_answered_alone(rig: Rig, url: str, asked: str, start: int, stop: int) -> None:
    answer = await rig.client.get(url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, VIDEO[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(stop - start)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == ETAG
    assert answer.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=9-5", "items=0-1", "bytes=", "bytes=-", "bytes=a-b", "0-5", "bytes=٣-"]
)
async def test_what_is_no_single_range_gives_the_whole(rig: Rig, url: str, asked: str) -> None:
    answer = await rig.client.get(url, headers={"Range": asked.encode()})
    assert (answer.status_code, answer.content) == (200, VIDEO)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0", "bytes=99999999999999999999-"])
async def test_a_range_after_the_end_is_a_typed_416(rig: Rig, url: str, asked: str) -> None:
    answer = await rig.client.get(url, headers={"Range": asked})
    assert (answer.status_code, answer.json()["error"]["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


async def test_a_range_of_another_state_of_the_file_gives_the_whole(rig: Rig, url: str) -> None:
    for state, status in [(ETAG, 206), ('"other"', 200), (f"W/{ETAG}", 200), ("Fri, 20 Nov 2026 12:00:00 GMT", 200)]:
        answer = await rig.client.get(url, headers={"Range": "bytes=0-9", "If-Range": state})
        assert (answer.status_code, len(answer.content)) == (status, 10 if status == 206 else SIZE)


@pytest.mark.parametrize("known", [ETAG, f"W/{ETAG}", f'"other", {ETAG}', "*"])
async def test_what_the_client_has_is_not_sent_again(rig: Rig, url: str, known: str) -> None:
    for method in ("GET", "HEAD"):
        answer = await rig.client.request(method, url, headers={"If-None-Match": known, "Range": "bytes=0-9"})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", ETAG)
    other = await rig.client.get(url, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize("variant", ["video", "thumbnail", "spritesheet"])
async def test_a_head_says_what_a_get_would(rig: Rig, url: str, variant: str) -> None:
    got, told = [await rig.client.request(method, url, params={"variant": variant}) for method in ("GET", "HEAD")]
    assert (told.status_code, told.content) == (200, b"")
    assert {**told.headers, "x-request-id": ""} == {**got.headers, "x-request-id": ""}


async def test_every_variant_is_what_it_says(rig: Rig, url: str) -> None:
    expected = {
        "video": (VIDEO, "video/mp4"),
        "thumbnail": (THUMBNAIL, "image/png"),
        "spritesheet": (SPRITESHEET, "image/jpeg"),
    }
    for variant, (data, media_type) in expected.items():
        answer = await rig.client.get(url, params={"variant": variant})
        assert (answer.content, answer.headers["content-type"]) == (data, media_type)
        part = await rig.client.get(url, params={"variant": variant}, headers={"Range": "bytes=20-29"})
        assert (part.content, part.headers["content-type"]) == (data[20:30], media_type)


async def test_parts_of_what_is_not_ready_or_gone_are_typed_errors(rig: Rig, url: str) -> None:
    early = f"/v1/videos/{(await rig.post()).json()['id']}/content"
    for method in ("GET", "HEAD"):
        assert (await rig.client.request(method, early, headers={"Range": "bytes=0-9"})).status_code == 409
    for meta in rig.objects.list().collect():
        rig.objects.delete(meta["path"])
    answer = await rig.client.get(url, headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "artifact_not_found")
