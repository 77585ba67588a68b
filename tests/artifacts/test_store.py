"""One suite for every artifact store: a real folder and memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orrery.artifacts import ObjectArtifacts, memo_key, open_store
from orrery.worlds.contracts import DENOISER, TEXT_ENCODER
from orrery.worlds.errors import ArtifactCorrupt, ArtifactNotFound
from orrery.worlds.plan import ArtifactRef


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectArtifacts:
    return open_store("memory://" if request.param == "memory" else (tmp_path / "artifacts").as_uri())


async def chunks(*parts: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if error:
        raise error


async def test_what_is_put_is_found_under_its_digest(store: ObjectArtifacts) -> None:
    ref = await store.put(b"world", media_type="text/plain")
    assert ref == ArtifactRef(digest=hashlib.sha256(b"world").hexdigest(), size=5, media_type="text/plain")
    assert bytes(await store.get(ref)) == b"world"
    assert await store.put(memoryview(b"world"), media_type="text/plain") == ref


async def test_a_stream_has_the_digest_of_its_bytes(store: ObjectArtifacts) -> None:
    ref = await store.put_stream(chunks(b"a" * 3_000_000, b"b" * 6_000_000, b""))
    assert ref == await store.put(b"a" * 3_000_000 + b"b" * 6_000_000)
    assert b"".join([part async for part in store.stream(ref)]) == b"a" * 3_000_000 + b"b" * 6_000_000


async def test_an_empty_artifact_can_be_read(store: ObjectArtifacts) -> None:
    ref = await store.put(b"")
    assert bytes(await store.get(ref)) == b""
    assert [part async for part in store.stream(ref)] == [b""]


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 9), (0, 10_000_000), (9_999_990, 10_000_000)])
async def test_a_part_is_read_alone(store: ObjectArtifacts, start: int, stop: int) -> None:
    data = bytes(range(250)) * 40_000
    ref = await store.put(data)
    assert b"".join([chunk async for chunk in store.part(ref, start, stop)]) == data[start:stop]


async def test_a_part_of_what_is_missing_is_said_to_be_missing(store: ObjectArtifacts) -> None:
    with pytest.raises(ArtifactNotFound):
        await anext(store.part(ArtifactRef(digest="a" * 64, size=5), 0, 1))


async def test_a_broken_stream_raises_its_own_error_and_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    with pytest.raises(ValueError, match="cut off"):
        await store.put_stream(chunks(b"x" * 9_000_000, error=ValueError("cut off")))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_missing_artifact_is_said_to_be_missing(store: ObjectArtifacts) -> None:
    missing = ArtifactRef(digest="0" * 64, size=1)
    with pytest.raises(ArtifactNotFound):
        await store.get(missing)
    with pytest.raises(ArtifactNotFound):
        await anext(store.stream(missing))


async def test_changed_bytes_are_never_given_out_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    ref = await store.put(b"x" * 9_000_000)
    path = tmp_path / "sha256" / ref.digest[:2] / ref.digest
    path.write_bytes(b"x" * 8_999_999 + b"y")
    with pytest.raises(ArtifactCorrupt):
        await store.get(ref)
    received = b""
    with pytest.raises(ArtifactCorrupt):
        async for part in store.stream(ref):
            received += part
    assert len(received) < ref.size


async def test_a_truncated_artifact_is_stored_again(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    ref = await store.put(b"whole")
    (tmp_path / "sha256" / ref.digest[:2] / ref.digest).write_bytes(b"who")
    assert bytes(await store.get(await store.put(b"whole"))) == b"whole"


async def test_a_memo_counts_only_while_its_artifacts_are_there(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    outputs = {"latents": await store.put(b"1"), "frames": await store.put(b"2")}
    await store.remember("ab" * 32, outputs)
    assert await store.recall("ab" * 32) == outputs
    assert await store.recall("cd" * 32) is None
    (tmp_path / "sha256" / outputs["frames"].digest[:2] / outputs["frames"].digest).unlink()
    assert await store.recall("ab" * 32) is None


def test_a_memo_key_depends_on_everything_that_decides_the_output() -> None:
    a, b = (ArtifactRef(digest=c * 64, size=1) for c in "ab")
    keys = {
        memo_key(TEXT_ENCODER, "f", {"prompt": "x", "n": 1}, {"i": a}),
        memo_key(DENOISER, "f", {"prompt": "x", "n": 1}, {"i": a}),
        memo_key(TEXT_ENCODER, "g", {"prompt": "x", "n": 1}, {"i": a}),
        memo_key(TEXT_ENCODER, "f", {"prompt": "y", "n": 1}, {"i": a}),
        memo_key(TEXT_ENCODER, "f", {"prompt": "x", "n": 1}, {"i": b}),
        memo_key(TEXT_ENCODER, "f", {"prompt": "x", "n": 1}, {"j": a}),
    }
    assert len(keys) == 6
    reordered = memo_key(TEXT_ENCODER, "f", {"n": 1, "prompt": "x"}, {"i": a.model_copy(update={"media_type": "x"})})
    assert reordered == memo_key(TEXT_ENCODER, "f", {"prompt": "x", "n": 1}, {"i": a})
