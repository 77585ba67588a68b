"""`docker compose up`, and what may happen to it: scaled, killed, restarted, taken down and up again."""

from __future__ import annotations

import io
import time
from pathlib import Path

import av
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from compose.project import SERVICES, Project, eventually, image
from compose.results import Results
from compose.work import busiest, denoised_by, denoising, long_job, patient

READY_SECONDS = 120.0


def ready(project: Project) -> None:
    project.up("--wait", "--wait-timeout", str(int(READY_SECONDS)))


def test_every_service_is_a_container_of_its_own_and_healthy(orrery: Project) -> None:
    ready(orrery)
    containers = orrery.containers()
    assert sorted(container.service for container in containers) == sorted(SERVICES)
    assert {container.health for container in containers} == {"healthy"}
    stages = [container for container in containers if container.image == image("stage")]
    assert len(stages) == 6


def test_a_video_is_made_through_the_published_port(orrery: Project, tmp_path: Path) -> None:
    with patient(orrery) as client:
        done = client.wait(client.create("A red ball rolls across a table.", seed=7).id)
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
        waiting = [long_job(client).id for _ in range(4)]
        began = time.time()
        orrery.up("--no-recreate", "--scale", "denoiser=2")
        results.note("scale_command_seconds", time.time() - began)
        ended = [client.wait(job) for job in waiting]
    assert busiest(ended) == 2
    tasks = [task for world in ended for task in world.timeline if task.stage == "denoiser"]
    first = {task.worker: task.started_at for task in sorted(tasks, key=lambda task: -task.started_at)}
    assert len(first) == 2
    results.note("added_denoiser_to_first_task_seconds", max(first.values()) - began)


def test_a_killed_denoiser_loses_nothing_and_the_other_goes_on_from_its_checkpoint(orrery: Project) -> None:
    orrery.up("--wait", "--no-recreate", "--scale", "denoiser=2")
    with patient(orrery) as client:
        job = long_job(client).id
        before = eventually(lambda: (now := denoising(client.get(job))).checkpoint_step and now, seconds=120)
        hosts = {container.id[:12]: container for container in orrery.containers("denoiser")}
        victim = hosts[denoised_by(client.get(job))]
        orrery.engine.docker("kill", victim.name)
        done = client.wait(job)
        after = denoising(done)
    assert (after.attempt, after.leases_lost) == (2, 1)
    assert denoised_by(done) in set(hosts) - {victim.id[:12]}
    # All steps of both attempts together: begun anew they would be as many more as there were before the kill.
    assert after.steps_run < after.num_steps + before.checkpoint_step


def test_a_restarted_redis_loses_nothing(orrery: Project) -> None:
    with patient(orrery) as client:
        known = {world.id for world in client.list(limit=100).data}
        jobs = [long_job(client).id for _ in range(2)]
        eventually(lambda: client.get(jobs[0]).step, seconds=60)
        orrery.compose("restart", "redis")
        assert {client.wait(job).status for job in jobs} == {"completed"}
        assert known | set(jobs) <= {world.id for world in client.list(limit=100).data}


def test_jobs_survive_down_and_up(orrery: Project, tmp_path: Path) -> None:
    with patient(orrery) as client:
        finished = client.list(limit=1).data[0].id
        client.download(finished, tmp_path / "before.mp4")
        under_way = long_job(client).id
        eventually(lambda: client.get(under_way).step, seconds=60)
        orrery.compose("down")
        assert orrery.containers() == []
        orrery.up()
        assert client.wait(under_way).status == "completed"
        client.download(finished, tmp_path / "after.mp4")
    assert (tmp_path / "after.mp4").read_bytes() == (tmp_path / "before.mp4").read_bytes()
