"""Previews of the real thing: from the denoiser inside Triton to whoever watches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

from e2e.stack import Stack, running
from orrery.v1 import worlds_pb2 as v1
from orrery.v1.worlds_pb2_grpc import WorldsStub

ASKED = {"prompt": "a ball rolls", "seed": 5, "num_frames": 9, "num_inference_steps": 100, "output_format": "mkv"}


@pytest.fixture(scope="module")
def showing(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORRERY_PREVIEW_SECONDS", "0.01")
        with running(tmp_path_factory.mktemp("orrery"), models_dir) as started:
            yield started


def events(stack: Stack, job_id: str) -> Iterator[dict[str, Any]]:
    with stack.client.stream("GET", f"/v1/videos/{job_id}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))["data"]


def test_a_preview_comes_while_a_world_is_made(showing: Stack, stack: Stack) -> None:
    job = showing.create(**ASKED)
    seen = []
    for data in events(showing, job["id"]):
        if "preview" in data:
            answer = showing.client.get(data["preview"]["url"])
            if answer.status_code == 200:
                seen.append((data["preview"], Image.open(BytesIO(answer.content))))
    assert seen, "none of a job of 200 steps"
    for told, picture in seen:
        assert (picture.format, picture.size) == ("JPEG", (told["width"], told["height"]))
        assert max(picture.size) == 256
    done = showing.wait(job["id"])
    assert (done["status"], done["preview"]) == ("completed", None)
    assert showing.client.get(f"/v1/videos/{job['id']}/content?variant=preview").status_code == 404
    assert showing.content(job["id"]) == stack.content(stack.make(**ASKED)["id"]), "it is the same world without them"


def test_a_watch_over_grpc_has_them(showing: Stack) -> None:
    target = (showing.home / "grpc-url").read_text().strip()
    with grpc.insecure_channel(target) as channel:
        job = showing.create(**ASKED | {"seed": 6})
        watched = list(WorldsStub(channel).Watch(v1.WatchRequest(id=job["id"]), timeout=120))
    previews = [event.preview for event in watched if event.HasField("preview")]
    assert previews
    assert {preview.media_type for preview in previews} == {"image/jpeg"}
    assert Image.open(BytesIO(previews[0].data)).size == (previews[0].width, previews[0].height)
