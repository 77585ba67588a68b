"""The main path through HTTP, the job store and Triton."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from e2e.media import decode, mp4, png, scene
from e2e.stack import Stack, task_of

FAST = {"num_inference_steps": 3, "num_frames": 9}


def test_a_prompt_becomes_a_playable_video(stack: Stack) -> None:
    job = stack.make(prompt="a ball rolls over a table", seed=3, **FAST)
    frames, told = decode(stack.content(job["id"]))
    assert frames.shape == (9, 96, 176, 3)
    assert told == {"codec": "h264", "fps": 16.0}
    assert (job["workflow"], job["size"], job["num_frames"], job["fps"]) == ("text2world", "176x96", 9, 16)
    assert frames.std() > 1


def test_an_image_becomes_a_video_that_starts_with_it(stack: Stack) -> None:
    picture = scene(1, 96, 96)
    job = stack.make(prompt="it moves", size="96x96", output_format="mkv", input_reference=("a.png", png(picture[0])), **FAST)
    frames, told = decode(stack.content(job["id"]))
    assert (frames.shape, told["codec"]) == ((9, 96, 96, 3), "ffv1")
    condition = stack.tensor(job, "encode_video", "latents")
    assert condition.shape == (16, 1, 12, 12)
    # RES-2AB ends with a clean pass, in which conditioned frames are exactly the ones given.
    np.testing.assert_allclose(stack.tensor(job, "denoise", "latents")[:, :1], condition, atol=1e-6)


def test_a_clip_is_continued_from_its_last_frames(stack: Stack) -> None:
    clip = scene(20, 100, 200)
    job = stack.make(prompt="it goes on", num_conditional_frames=5, input_reference=("clip.mp4", mp4(clip)), **FAST)
    assert stack.tensor(job, "encode_video", "latents").shape == (16, 2, 12, 22)
    assert job["notes"]["input"]["frames_used"] == 5
    assert (job["notes"]["input"]["width"], job["notes"]["input"]["height"]) == (200, 100)


def test_a_thumbnail_comes_with_every_video(stack: Stack) -> None:
    job = stack.make(prompt="a ball", **FAST)
    with Image.open(io.BytesIO(stack.content(job["id"], "thumbnail"))) as thumbnail:
        assert max(thumbnail.size) <= 160


def test_images_come_inline(stack: Stack) -> None:
    answer = stack.client.post(
        "/v1/images/generations", json={"prompt": "a ball", "n": 2, "num_inference_steps": 3, "size": "96x96", "seed": 4}
    )
    assert answer.status_code == 200, answer.text
    pictures = [Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))) for item in answer.json()["data"]]
    assert [picture.size for picture in pictures] == [(96, 96)] * 2
    assert pictures[0].tobytes() != pictures[1].tobytes()


def test_another_seed_reuses_the_text_embedding(stack: Stack) -> None:
    first = stack.make(prompt="a prompt that nobody used before", seed=1, **FAST)
    second = stack.make(prompt="a prompt that nobody used before", seed=2, **FAST)
    assert not task_of(first, "encode_text")["memo"]
    assert task_of(second, "encode_text")["memo"]
    assert task_of(second, "encode_text")["stage_seconds"] == 0
    assert not task_of(second, "denoise")["memo"]
    assert stack.content(first["id"]) != stack.content(second["id"])


def test_the_same_request_is_answered_from_memory_with_the_same_bytes(stack: Stack) -> None:
    asked = {"prompt": "again", "seed": 9, "output_format": "mkv", **FAST}
    first, second = stack.make(**asked), stack.make(**asked)
    assert all(row["memo"] for row in second["timeline"])
    assert stack.content(first["id"]) == stack.content(second["id"])


def test_progress_counts_steps(stack: Stack) -> None:
    job = stack.create(prompt="a slow one", seed=11, num_inference_steps=60, num_frames=33)
    seen = []
    while (now := stack.job(job["id"]))["status"] not in ("completed", "failed"):
        seen.append((now["progress"], now["step"] if now["stage"] == "denoiser" else None))
    assert now["status"] == "completed"
    assert [p for p, _ in seen] == sorted(p for p, _ in seen)
    assert len({step for _, step in seen if step}) >= 3
    assert now["progress"] == 100


def test_the_record_says_which_guardrails_ran(stack: Stack) -> None:
    job = stack.make(prompt="a ball", **FAST)
    digest = task_of(job, "guard_prompt")["outputs"]["verdict"]["digest"]
    verdict = json.loads((stack.home / "artifacts" / "sha256" / digest[:2] / digest).read_text())
    checks = {check["name"]: check["ran"] for check in verdict["prompt"]["checks"]}
    assert checks["blocklist"] is True
    assert checks["classifier"] is False


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"prompt": ""}, 422, "prompt"),
        ({"prompt": "x", "num_frames": 10**9}, 422, "num_frames"),
        ({"prompt": "x", "model": "sora"}, 404, "model"),
        ({"prompt": "x", "num_framez": 9}, 422, "num_framez"),
    ],
)
def test_bad_requests_leave_nothing_behind(stack: Stack, fields: dict[str, object], status: int, field: str) -> None:
    before = stack.files(), stack.client.get("/v1/videos").json()
    answer = stack.client.post("/v1/videos", json=fields)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    assert (stack.files(), stack.client.get("/v1/videos").json()) == before


def test_the_command_line_makes_a_file(stack: Stack, tmp_path: Path) -> None:
    import subprocess
    import sys

    picture = tmp_path / "start.png"
    picture.write_bytes(png(scene(1, 120, 200)[0]))
    output = tmp_path / "out.mkv"
    command = [sys.executable, "-m", "orrery.client.cli", "generate", "a ball", "--image", str(picture), "-o", str(output)]
    options = ["--url", str(stack.client.base_url), "--num-frames", "9", "--num-inference-steps", "3", "--seed", "5"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "9 frames of 176x96 at 16 fps" in done.stdout
    assert "random weights" in done.stderr
    assert decode(output.read_bytes())[0].shape == (9, 96, 176, 3)
    refused = subprocess.run([*command, *options, "--num-frames", "10"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "num_frames" in refused.stderr
