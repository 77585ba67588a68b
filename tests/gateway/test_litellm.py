"""LiteLLM's video calls against a gateway on a real Valkey, as a team that routes through it would make them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.real import FILM, real_gateway
from gateway.samples import png
from valkeys import own_valkey

CALLS = """
import json, sys, time
import litellm

base, output = sys.argv[1:]
at = {"api_base": base, "api_key": "none"}
video = litellm.video_generation(model="openai/tiny-predict2", prompt="a ball rolls", seconds="1", size="176x96", **at)
while video.status in ("queued", "in_progress"):
    time.sleep(0.05)
    video = litellm.video_status(video_id=video.id, **at)
with open(output, "wb") as file:
    file.write(litellm.video_content(video_id=video.id, **at))
image = open(sys.argv[2] + ".png", "rb")
started = litellm.video_generation(
    model="openai/tiny-predict2", prompt="it moves", input_reference=image, extra_body={"num_inference_steps": 4}, **at
)
remix = litellm.video_remix(video_id=video.id, prompt="at night", **at)
listed = sorted(litellm.video_list(custom_llm_provider="openai", **at)["data"], key=lambda one: one["workflow"])
told = {"status": video.status, "seconds": video.seconds, "size": video.size}
told["remixed"] = remix.remixed_from_video_id is not None
told["workflows"] = [one["workflow"] for one in listed]
told["steps"] = [one["num_inference_steps"] for one in listed]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with own_valkey() as url:
        yield url


async def test_its_video_calls_work(redis_url: str, tmp_path: Path) -> None:
    """In a process of its own: importing it takes seconds, and warns."""
    output = tmp_path / "film"
    (tmp_path / "film.png").write_bytes(png(8, 8))
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else it fetches a list of prices
    folder = tmp_path / "artifacts"
    folder.mkdir()
    async with real_gateway(redis_url, folder) as real:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CALLS, real.url, str(output), env=environment, stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(120):
            printed, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()
    told = json.loads(printed.decode().splitlines()[-1])
    assert told == {
        "status": "completed",
        "seconds": "1.0625",
        "size": "176x96",
        "workflows": ["text2world", "text2world", "video2world"],
        "steps": [35, 35, 4],
        "remixed": True,
    }
    assert output.read_bytes() == FILM
