"""What is known of files: both stores by the same rules."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.setting import Clock, ref
from orrery.jobs.files import Files, MemoryFiles, RedisFiles, StoredFile
from orrery.worlds.errors import FileNotKnown


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "redis"])
def files(request: pytest.FixtureRequest, clock: Clock) -> Files:
    return MemoryFiles(clock) if request.param == "memory" else RedisFiles(request.getfixturevalue("client"), clock)


def file(file_id: str, **fields: Any) -> StoredFile:
    given = {"tenant": "ann", "filename": f"{file_id}.jsonl", "purpose": "batch", "created_at": 1.5} | fields
    return StoredFile(id=file_id, content=ref(file_id), **given)


async def ids(files: Files, tenant: str = "ann", **asked: Any) -> list[str]:
    page = await files.list(tenant, **{"purpose": None, "after": None, "limit": 10, "order": "asc"} | asked)
    return [file.id for file in page.files]


async def live(files: Files) -> set[str]:
    return {digest async for digest in files.live_artifacts()}


async def test_a_file_is_what_was_entered_until_it_is_deleted(files: Files) -> None:
    entered = file("a", filename="Würfel.png", expires_at=2e9)
    await files.put(entered)
    assert await files.get("a", "ann") == entered
    assert await live(files) == {ref("a").digest}
    assert await files.delete("a", "ann") == entered
    assert (await ids(files), await live(files)) == ([], set())
    for gone in (files.get, files.delete):
        with pytest.raises(FileNotKnown):
            await gone("a", "ann")


async def test_a_file_is_its_tenants_own(files: Files) -> None:
    await files.put(file("a"))
    for foreign in (files.get, files.delete):
        with pytest.raises(FileNotKnown):
            await foreign("a", "bob")
    with pytest.raises(FileNotKnown):
        await ids(files, "bob", after="a")
    assert (await ids(files, "bob"), await ids(files)) == ([], ["a"])


async def test_files_are_listed_by_creation_in_pages(files: Files) -> None:
    for number in range(250):
        await files.put(file(f"f{number}", purpose="batch" if number % 2 else "vision"))
    assert await ids(files, limit=3) == ["f0", "f1", "f2"]
    assert await ids(files, order="desc", limit=2) == ["f249", "f248"]
    assert await ids(files, after="f246") == ["f247", "f248", "f249"]
    assert await ids(files, after="f2", order="desc") == ["f1", "f0"]
    assert await ids(files, purpose="vision", limit=500) == [f"f{n}" for n in range(0, 250, 2)]
    for limit, more in ((124, True), (125, False)):
        page = await files.list("ann", purpose="batch", after=None, limit=limit, order="asc")
        assert (len(page.files), page.has_more) == (limit, more)


async def test_a_file_that_is_entered_again_keeps_its_place(files: Files) -> None:
    for name in ("a", "b"):
        await files.put(file(name, expires_at=5.0))
    await files.put(file("b"))
    await files.put(file("a", filename="new"))
    assert await ids(files) == ["a", "b"]
    assert (await files.get("a", "ann")).filename == "new"
    assert await files.forget_expired() == 0


async def test_an_expired_file_is_gone_before_it_is_forgotten(files: Files, clock: Clock) -> None:
    await files.put(file("short", expires_at=clock.now + 10))
    await files.put(file("long", expires_at=clock.now + 20))
    await files.put(file("ever"))
    clock.now += 10
    with pytest.raises(FileNotKnown):
        await files.get("short", "ann")
    assert await ids(files) == ["long", "ever"]
    assert await live(files) == {ref(name).digest for name in ("short", "long", "ever")}
    assert (await files.forget_expired(), await files.forget_expired()) == (1, 0)
    assert await live(files) == {ref(name).digest for name in ("long", "ever")}


async def test_more_files_expire_than_are_forgotten_at_once(files: Files, clock: Clock) -> None:
    for number in range(230):
        await files.put(file(f"f{number}", expires_at=clock.now))
    assert await files.forget_expired() == 230
    assert await live(files) == set()
