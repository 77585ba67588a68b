"""`docker compose up`, and what may happen to it: scaled, killed, restarted, taken down and up again."""

from __future__ import annotations

import io
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image
from typer.testing import CliRunner

from compose.project import SERVICES, Project, eventually, image
from compose.results import Results
from compose.work import Waiting, busiest, denoised_by, denoising, denoisings, long_job, patient
from orrery.client.cli import app
from orrery.sdk import Client
from orrery.worlds.errors import OrreryError

READY_SECONDS = 120.0

FAR = 15
"""So many steps are kept when a denoiser is killed."""


def ready(project: Project) -> None:
    project.up("--wait", "--wait-timeout", str(int(READY_SECONDS)))


def test_every_service_is_a_container_of_its_own_and_healthy(orrery: Project) -> None:
    ready(orrery)
    containers = orrery.containers()
    assert sorted(container.service for container in containers) == sorted(SERVICES)
    assert {container.health for container in containers} == {"healthy"}
    stages = [container for container in containers if container.image == image("stage")]
    assert len(stages) == 6


def picture() -> bytes:
    data = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(data, "PNG")
    return data.getvalue()


def test_a_video_is_made_from_a_picture_through_the_published_port(orrery: Project, tmp_path: Path) -> None:
    """The picture is decoded in a process of its own, in a container that may do hardly anything."""
    with patient(orrery) as client:
        done = client.wait(client.create("A red ball rolls across a table.", reference=picture(), seed=7).id)
        client.download(done.id, tmp_path / "world.mp4")
        workers = {task.stage: task.worker for task in done.timeline}
    with av.open(io.BytesIO((tmp_path / "world.mp4").read_bytes())) as film:
        assert sum(1 for _ in film.decode(video=0)) == done.num_frames
    hosts = {container.id[:12]: container.service for container in orrery.containers()}
    served = {stage: hosts[str(worker).partition("-")[0]] for stage, worker in workers.items()}
    assert served == {
        "guardrail_text": "guardrail",
        "text_encoder": "text-encoder",
        "video_encoder": "video-encoder",
        "denoiser": "denoiser",
        "video_decoder": "video-decoder",
        "publisher": "publisher",
    }


def test_grpc_is_published_too(orrery: Project) -> None:
    with grpc.insecure_channel(orrery.grpc_target) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_second_denoiser_doubles_what_runs_at_once(orrery: Project, results: Results) -> None:
    with patient(orrery) as client:
        alone = [client.wait(client.create("a ball falls", seed=seed).id) for seed in range(2)]
        assert busiest(alone) == 1
        waiting = Waiting(client)
        began = time.time()
        orrery.up("--no-recreate", "--scale", "denoiser=2")
        eventually(lambda: len(waiting.workers()) == 2, seconds=180, pause=0.5)
        worlds = waiting.end()
    assert busiest(worlds) == 2
    (old,) = {task.worker for task in denoisings(alone)}
    added = min(task.started_at for task in denoisings(worlds) if task.worker != old)
    results.note("added_denoiser_to_first_task_seconds", added - began)


def test_prometheus_finds_every_container_of_every_service(orrery: Project) -> None:
    orrery.up("--no-recreate", "--scale", "denoiser=2", "prometheus", "denoiser")
    with httpx.Client(base_url=orrery.prometheus_url, trust_env=False) as client:
        expected = {"gateway": 1, "dispatcher": 1, "stage": 7, "triton": 7}
        eventually(lambda: answering(client) == expected, seconds=90, pause=0.5)
        groups = client.get("/api/v1/rules").raise_for_status().json()["data"]["groups"]
    assert sum(len(group["rules"]) for group in groups) > 0


def answering(client: httpx.Client) -> dict[str, int]:
    """How many targets of each job were scraped well the last time."""
    try:
        targets = client.get("/api/v1/targets").raise_for_status().json()["data"]["activeTargets"]
    except httpx.TransportError:
        return {}
    return dict(Counter(target["labels"]["job"] for target in targets if target["health"] == "up"))


def test_a_killed_denoiser_loses_nothing_and_the_other_goes_on_from_its_checkpoint(orrery: Project) -> None:
    orrery.up("--wait", "--no-recreate", "--scale", "denoiser=2")
    with patient(orrery) as client:
        hosts = {container.id[:12]: container for container in orrery.containers("denoiser")}
        job = long_job(client).id
        eventually(lambda: (denoising(client.get(job)).checkpoint_step or 0) >= FAR, seconds=120)
        victim = hosts[denoised_by(client.get(job))]
        orrery.engine.docker("kill", victim.name)
        done = client.wait(job)
        after = denoising(done)
    assert after.leases_lost == after.attempt - 1 >= 1
    assert denoised_by(done) in set(hosts) - {victim.id[:12]}
    # All steps of all attempts together: begun anew they would be as many more as there were before the kill.
    assert after.steps_run < after.num_steps + FAR


def test_a_restarted_redis_loses_nothing(orrery: Project) -> None:
    with patient(orrery) as client:
        known = {world.id for world in client.list(limit=100).data}
        jobs = [long_job(client).id for _ in range(2)]
        eventually(lambda: client.get(jobs[0]).step, seconds=60)
        orrery.compose("restart", "redis")
        assert {client.wait(job).status for job in jobs} == {"completed"}
        assert known | set(jobs) <= {world.id for world in client.list(limit=100).data}


def test_a_gateway_for_others_asks_for_keys(orrery: Project, tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["keys", "new", "--tenant", "studio"])
    (tmp_path / "keys.toml").write_text(made.stdout)
    told = {"ORRERY_KEYS_FILE": str(tmp_path / "keys.toml"), "ORRERY_ADDRESS": "127.0.0.1"}
    public = replace(orrery, engine=replace(orrery.engine, environment={**orrery.engine.environment, **told}))
    files = ("--file", "docker-compose.yml", "--file", "docker-compose.public.yml")
    public.compose(*files, "up", "--detach", "--no-build", "--no-deps", "gateway")
    try:
        with patient(orrery) as client, pytest.raises(OrreryError, match="key"):
            client.models()
        with Client(orrery.url, api_key=made.stderr.split()[-1]) as client:
            assert client.list().data == ()
    finally:
        orrery.up("--no-deps", "gateway")


def test_jobs_survive_down_and_up(orrery: Project, tmp_path: Path) -> None:
    with patient(orrery) as client:
        finished = client.list(limit=1).data[0].id
        client.download(finished, tmp_path / "before.mp4")
        under_way = long_job(client).id
        eventually(lambda: client.get(under_way).step, seconds=60)
        orrery.compose("--profile", "observability", "down")
        assert orrery.containers() == []
        orrery.up()
        assert client.wait(under_way).status == "completed"
        client.download(finished, tmp_path / "after.mp4")
    assert (tmp_path / "after.mp4").read_bytes() == (tmp_path / "before.mp4").read_bytes()
