"""Every example runs as it stands, and what it leaves is what it says."""

from __future__ import annotations

import base64
import io
import json

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from e2e.media import decode
from examples.conftest import EXAMPLES, Stage

RUN_HERE = {
    "openai_client.py",
    "nim.sh",
    "grpc_client.py",
    "native_triton.py",
    "sdk_client.py",
    "sdk_async.py",
    "batch/openai_batch.py",
    "events.sh",
    "webhook.py",
    "official/generate.sh",
}


def test_no_example_is_left_out() -> None:
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".sh")}
    assert found == RUN_HERE
    told = (EXAMPLES / "README.md").read_text()
    assert [name for name in sorted(found) if f"`{name}`" not in told] == []


def kind_of(image: bytes) -> str | None:
    with Image.open(io.BytesIO(image)) as opened:
        return opened.format


def test_openai(stage: Stage) -> None:
    said = stage.run("openai_client.py").split()
    frames, told = decode(stage.file("openai.mp4"))
    job = stage.doors.stack.job(said[0])
    assert (len(frames), told["fps"]) == (job["num_frames"], job["fps"])
    assert [kind_of(stage.file(name)) for name in ("openai.png", "openai.jpg")] == ["PNG", "JPEG"]
    assert stage.doors.stack.wait(said[-1])["remixed_from_video_id"] == said[0]


def test_the_nim(stage: Stage) -> None:
    assert "bytes" in stage.run("nim.sh")
    frames, _ = decode(base64.b64decode(json.loads(stage.file("nim.json"))["b64_video"]))
    assert len(frames) > 1


def test_grpc(stage: Stage) -> None:
    told = stage.run("grpc_client.py").splitlines()
    assert (told[0].strip(), told[-1].strip()) == ("job.queued", "job.completed")
    assert any(line.startswith("job.progress denoiser") for line in told)
    assert len(decode(stage.file("grpc.mp4"))[0]) > 1
    with grpc.insecure_channel(stage.doors.environment["ORRERY_GRPC"]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service="orrery.v1.Worlds"), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_triton_itself_by_both_of_its_protocols(stage: Stage) -> None:
    stage.run("native_triton.py")
    assert stage.file("triton-grpc.mp4") == stage.file("triton-http.mp4")
    assert len(decode(stage.file("triton-http.mp4"))[0]) > 1


def test_the_sdk(stage: Stage) -> None:
    said = stage.run("sdk_client.py")
    assert "job.completed" in said
    assert "refused: " in said
    assert len(decode(stage.file("sdk.mp4"))[0]) > 1


def test_the_sdk_without_waiting(stage: Stage) -> None:
    stage.run("sdk_async.py")
    assert len({stage.file(f"async-{seed}.mp4") for seed in range(4)}) == 4


def test_a_batch(stage: Stage) -> None:
    said = stage.run("batch/openai_batch.py").splitlines()
    assert [line.split()[0] for line in said] == ["red", "blue"]
    assert all(len(decode(stage.file(f"batch-{name}.mp4"))[0]) > 1 for name in ("red", "blue"))


def test_events(stage: Stage) -> None:
    lines = stage.run("events.sh").splitlines()
    types = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert (types[0], types[-1]) == ("job.queued", "job.completed")
    assert "job.progress" in types


def test_webhooks(stage: Stage) -> None:
    kind, job_id = stage.run("webhook.py").split()
    assert kind in ("video.in_progress", "video.completed")
    assert stage.doors.stack.wait(job_id)["status"] == "completed"


@pytest.mark.timeout(400)
def test_official_samples(stage: Stage) -> None:
    stage.run("official/generate.sh")
    made = sorted(str(path.relative_to(stage.folder)) for path in stage.folder.rglob("*") if path.is_file())
    assert made == [
        "predict1/0.mp4",
        "predict1/1.mp4",
        "predict2/output/ball.jpg",
        "predict2/output/rolls.mp4",
        "predict2/output/rolls_on.mp4",
        "predict2_5/ball.mp4",
    ]
    assert kind_of(stage.file("predict2/output/ball.jpg")) == "JPEG"
    assert all(len(decode(stage.file(name))[0]) > 1 for name in made if name.endswith(".mp4"))
