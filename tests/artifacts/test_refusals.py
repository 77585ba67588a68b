"""A store that cannot keep what it is given says so, and keeps nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from obstore.store import S3Store

from orrery.artifacts import ObjectArtifacts
from orrery.artifacts.errors import StorageFull, StorageUnavailable, storage_named
from orrery.artifacts.store import UNMETERED
from orrery.worlds.errors import StageUnavailable

FULL_AFTER_A_MEGABYTE = """
import asyncio, json, resource, signal, sys
from orrery.artifacts import open_store
from orrery.artifacts.errors import StorageFull

async def parts():
    for _ in range(8):
        yield b"x" * 1_000_000

async def main(folder):
    store = open_store(folder)
    await store.put(b"small")
    said = []
    for put in (lambda: store.put(b"x" * 3_000_000), lambda: store.put_stream(parts())):
        try:
            await put()
        except StorageFull as error:
            said.append(error.to_dict()["code"])
    print(json.dumps(said))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
asyncio.run(main(sys.argv[1]))
"""


def test_what_does_not_fit_is_refused_and_not_half_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_AFTER_A_MEGABYTE, tmp_path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == ["storage_full", "storage_full"]
    assert [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()] == [5]


async def test_a_store_that_is_not_there_is_named() -> None:
    nowhere = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:1",
        region="none",
        skip_signature=True,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    with pytest.raises(StorageUnavailable) as refusal:
        await ObjectArtifacts(nowhere).put(b"x")
    assert (refusal.value.http_status, refusal.value.code) == (503, "storage_unavailable")


def test_a_task_that_meets_it_may_be_tried_again() -> None:
    assert issubclass(StorageFull, StageUnavailable)
    assert (StorageFull.http_status, StorageFull.grpc_code) == (507, "RESOURCE_EXHAUSTED")


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), storage_named(UNMETERED):
        raise KeyError("x")
