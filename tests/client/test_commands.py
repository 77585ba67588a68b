"""Commands as processes of their own against a gateway behind a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from client.terminal import Shell, shell_of
from gateway.edge.callers import guarded
from gateway.rig import VIDEO, eventually
from gateway.samples import clip, png
from gateway.served import served
from orrery.client.exits import MEANINGS, Exit
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import JobState

PROMPT = "a robot arm stacks boxes"
NOBODY = "video_" + "0" * 32


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with shell_of(tmp_path) as shell:
        yield shell


def written(shell: Shell) -> dict[str, bytes]:
    found = (path for path in shell.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(shell.folder)): path.read_bytes() for path in found}


async def jobs_of(shell: Shell) -> list[Any]:
    return list((await shell.rig.jobs.list(after=None, limit=100, order="asc")).jobs)


async def test_generate_writes_a_file_and_says_what_it_is(shell: Shell) -> None:
    words = ["--seed", "7", "--num-frames", "9", "--priority", "batch", "--tenant", "studio", "--expires-after", "3600"]
    words += ["--numerics", "diffusers", "--fps", "16", "--idempotency-key", "mine", "-o", "sub/world.mp4"]
    async with shell.working():
        done = await shell.run("generate", PROMPT, *words)
        again = await shell.run("generate", PROMPT, *words, "--json")
    (job,) = await jobs_of(shell)
    assert (done.status, again.status) == (0, 0), done.err
    assert done.out.startswith("sub/world.mp4: 9 frames of ")
    assert (job.tenant, job.priority, job.request["seed"], job.request["numerics"]) == ("studio", "batch", 7, "diffusers")
    assert json.loads(again.out).items() >= {"id": job.id, "status": "completed", "output": "sub/world.mp4"}.items()
    assert written(shell) == {"sub/world.mp4": VIDEO}


async def test_generate_begins_with_an_image_or_a_clip(shell: Shell) -> None:
    (shell.folder / "in.png").write_bytes(png(64, 48))
    (shell.folder / "in.mp4").write_bytes(clip(7))
    async with shell.working():
        assert (await shell.run("generate", PROMPT, "--image", "in.png")).status == 0
        assert (await shell.run("generate", PROMPT, "--video", "in.mp4", "-o", "b.mkv")).status == 0
        assert (await shell.run("generate", PROMPT, "--video", "in.mp4", "--image", "in.png")).status == 2
    first, second = await jobs_of(shell)
    assert (first.request["num_conditional_frames"], second.request["num_conditional_frames"]) == (1, 5)
    assert (first.request["output_format"], second.request["output_format"]) == ("mp4", "mkv")


async def test_official_samples_become_files_with_official_names(shell: Shell) -> None:
    (shell.folder / "in.png").write_bytes(png(64, 48))
    batch = [
        {"input_video": "in.png", "prompt": "go on", "output_video": "output/v0.mp4"},
        {"prompt": "a world", "output_video": "output/w0.mp4"},
    ]
    (shell.folder / "batch.json").write_text(json.dumps(batch))
    (shell.folder / "one.json").write_text('{"inference_type": "text2world", "name": "named", "prompt": "p", "seed": 5}')
    async with shell.working():
        done = await shell.run(
            "generate", "-i", "batch.json", "-i", "one.json", "-o", "made", "--num-frames", "9", "--seed", "3"
        )
    assert done.status == 0, done.err
    made = {name for name in written(shell) if name.startswith("made")}
    assert made == {"made/output/v0.mp4", "made/output/w0.mp4", "made/named.mp4"}
    requests = [job.request for job in await jobs_of(shell)]
    assert [(one["workflow"], one["seed"], one["num_frames"]) for one in requests] == [
        ("video2world", 3, 9),
        ("text2world", 3, 9),
        ("text2world", 5, 9),
    ]


async def test_outputs_lie_where_the_official_scripts_put_them(shell: Shell) -> None:
    (shell.folder / "one.jsonl").write_text('{"prompt": "a ball"}')
    (shell.folder / "two.json").write_text('[{"prompt": "a ball", "output_video": "output/ball.mp4"}]')
    async with shell.working():
        assert (await shell.run("generate", "-i", "one.jsonl", "-i", "two.json", "--num-frames", "9")).status == 0
    assert {"outputs/0.mp4", "output/ball.mp4"} <= set(written(shell))


async def test_a_faulty_sample_stops_all_before_any_is_sent(shell: Shell) -> None:
    (shell.folder / "batch.jsonl").write_text('{"prompt": "fine"}\n{"prompt": "p", "visual_input": "gone.jpg"}\n')
    done = await shell.run("generate", "-i", "batch.jsonl")
    assert done.status == 2
    assert "batch.jsonl line 2, visual_input: there is no file" in done.err
    assert await jobs_of(shell) == []


async def test_one_failure_of_many_stops_no_other(shell: Shell) -> None:
    (shell.folder / "batch.jsonl").write_text('{"prompt": "a fucking ball"}\n{"prompt": "a ball"}\n')
    async with shell.working():
        done = await shell.run("generate", "-i", "batch.jsonl", "-o", "made")
    assert (done.status, "made/1.mp4" in written(shell), "made/0.mp4" in written(shell)) == (5, True, False)
    assert "batch.jsonl line 1" in done.err


async def test_a_batch_is_made_and_made_up_for(shell: Shell) -> None:
    (shell.folder / "in.png").write_bytes(png(64, 48))
    lines: list[dict[str, Any]] = [
        {"prompt": "one", "seed": 1},
        {"custom_id": "two", "method": "POST", "url": "/v1/videos", "body": {"prompt": "two", "input_reference": "in.png"}},
        {"custom_id": "three", "prompt": "three", "input_reference": "in.png", "output_format": "mkv"},
        {"custom_id": "bad", "prompt": "four", "num_frames": 10},
    ]
    (shell.folder / "many.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with shell.working():
        done = await shell.run("batch", "many.jsonl", "-o", "made")
        assert (done.status, "num_frames" in done.err) == (2, True), done.err
        assert {"made/0.mp4", "made/two.mp4", "made/three.mkv", "made/results.jsonl"} < set(written(shell))
        assert len(await jobs_of(shell)) == 3
        uploads = (await shell.rig.client.get("/v1/files?purpose=vision")).json()["data"]
        assert len(uploads) == 1
        (shell.folder / "many.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[:3]))
        again = await shell.run("batch", "many.jsonl", "-o", "made")
    assert (again.status, len(await jobs_of(shell))) == (0, 3)


async def test_a_batch_with_a_missing_file_is_not_sent(shell: Shell) -> None:
    (shell.folder / "many.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two", "input_reference": "gone.png"}\n')
    done = await shell.run("batch", "many.jsonl")
    assert (done.status, "many.jsonl line 2, input_reference: there is no file" in done.err) == (2, True)


async def test_an_estimate_is_told_and_nothing_is_made(shell: Shell) -> None:
    told = await shell.run("estimate", PROMPT, "--num-frames", "9")
    assert (told.status, re.search(r"num_frames +9\n", told.out) is not None) == (0, True)
    assert json.loads((await shell.run("estimate", PROMPT, "--json")).out)["object"] == "video.estimate"
    assert await jobs_of(shell) == []


async def test_watch_tells_all_and_ends_as_the_job_does(shell: Shell) -> None:
    ids = [(await shell.rig.post(seed=seed)).json()["id"] for seed in range(2)]
    async with shell.working():
        done = await shell.run("watch", ids[0])
    assert (done.status, re.findall(r"job\.\w+", done.out)[-1]) == (0, "job.completed")
    assert "denoiser 1/2" in done.out
    cancelled = (await shell.rig.post(seed=9)).json()["id"]
    assert (await shell.run("cancel", cancelled)).out == f"{cancelled} cancelled\n"
    ended = await shell.run("watch", cancelled, "--json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert (ended.status, [event.get("type") for event in events[:2]]) == (4, ["job.queued", "job.cancelled"])
    assert events[-1]["error"]["code"] == "job_cancelled"


async def test_events_of_all_jobs_go_on_after_one(shell: Shell) -> None:
    job_id = (await shell.rig.post()).json()["id"]
    first = await shell.run("events", "--after", "0", "--limit", "1", "--json")
    assert json.loads(first.out)["job_id"] == job_id
    await shell.rig.jobs.cancel(job_id)
    second = await shell.run("events", "--after", json.loads(first.out)["id"], "--limit", "1")
    assert "job.cancelled" in second.out


async def test_models_say_what_may_be_asked(shell: Shell) -> None:
    (model,) = json.loads((await shell.run("models", "--json")).out)
    assert model["id"] in (await shell.run("models")).out
    shown = (await shell.run("models", model["id"])).out
    assert "video2world" in shown
    assert "num_inference_steps" in shown
    assert (await shell.run("models", "none")).status == 2


async def test_the_shell_completes_models_and_samplers(shell: Shell) -> None:
    from typer.testing import CliRunner

    from orrery.client.cli import app

    async def offered(words: str, incomplete: str) -> str:
        environment = {
            "_ORRERY_COMPLETE": "complete_bash",
            "COMP_WORDS": f"orrery {words} {incomplete}",
            "COMP_CWORD": str(len(words.split()) + 1),
        }
        done = await asyncio.to_thread(CliRunner().invoke, app, [], env=environment, prog_name="orrery")
        return done.output

    (model,) = json.loads((await shell.run("models", "--json")).out)
    assert model["id"] in await offered(f"generate x --url {shell.url} --model", model["id"][:3])
    assert (await offered("generate x --sampler", "res")).split() == ["res_2ab"]
    assert (await offered(f"models --url {shell.url}", model["id"][:3])).split() == [model["id"]]
    assert {"list", "pull", "verify"} <= set((await offered("models", "")).split())
    pulled = (await offered("models pull", "predict2-2b-video2world-720p16")).split()
    assert pulled == ["predict2-2b-video2world-720p16", "predict2-2b-video2world-720p16-natten"]
    assert set((await offered("generate x --priority", "")).split()) == {"interactive", "standard", "batch"}


async def exits(shell: Shell) -> AsyncIterator[tuple[Exit, int]]:
    async with shell.working(denoiser={"code": "component_unusable", "message": "gone"}):
        yield Exit.JOB_FAILED, (await shell.run("generate", PROMPT)).status
    yield Exit.BLOCKED, (await shell.run("generate", "a fucking ball")).status
    yield Exit.BAD_REQUEST, (await shell.run("generate", PROMPT, "--num-frames", "10")).status
    yield Exit.BAD_REQUEST, (await shell.run("watch", NOBODY)).status
    yield Exit.BAD_REQUEST, (await shell.run("generate")).status
    yield Exit.UNREACHABLE, (await Shell(shell.rig, "http://127.0.0.1:9", shell.folder).run("models", "--retries", "0")).status


async def test_scripts_can_tell_by_the_status_what_happened(shell: Shell) -> None:
    found = [pair async for pair in exits(shell)]
    assert [status for _, status in found] == [expected for expected, _ in found]


async def test_a_full_queue_has_a_status_of_its_own(tmp_path: Path) -> None:
    async with shell_of(tmp_path, MemoryJobs(max_waiting_per_pool=4)) as shell:
        await shell.rig.post()
        done = await shell.run("generate", PROMPT, "--seed", "1", "--retries", "0")
    assert done.status == Exit.QUEUE_FULL


async def test_a_gateway_with_keys_is_asked_with_one(tmp_path: Path) -> None:
    async with guarded(tmp_path, {"tenant": "studio"}, {"tenant": "slow", "rate_per_second": 0.001}, rate_burst=2) as made:
        rig, (studio, slow) = made
        async with served(rig.app) as http:
            shell = Shell(rig, str(http.base_url), tmp_path)
            assert (await shell.run("models", "--retries", "0")).status == Exit.NOT_ALLOWED
            assert (await shell.run("models", "--api-key", studio.secret)).status == Exit.OK
            assert (await shell.run("models", "--api-key", studio.secret, "--tenant", "other")).status == Exit.NOT_ALLOWED
            words = ("models", "--retries", "0", "--api-key", slow.secret)
            assert [(await shell.run(*words)).status for _ in range(3)][2] == Exit.QUEUE_FULL


async def test_an_interrupt_cancels_what_was_waited_for(shell: Shell) -> None:
    process = await shell.start("generate", PROMPT)
    (job,) = await eventually(lambda: jobs_of(shell))
    await asyncio.sleep(0.3)  # until it waits
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == Exit.INTERRUPTED, err.decode()
    assert (await shell.rig.jobs.get(job.id)).state is JobState.CANCELLED


def test_every_status_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)


async def test_images_of_official_samples_are_what_their_names_say(shell: Shell) -> None:
    lines = [{"prompt": "a still", "output_image": "a.png"}, {"prompt": "another", "output_image": "b.jpg"}]
    (shell.folder / "images.json").write_text(json.dumps(lines))
    async with shell.working(media=png(16, 9)):
        done = await shell.run("generate", "-i", "images.json", "-o", "made", "--num-frames", "9", "--seed", "2")
    assert done.status == 0, done.err
    assert [job.request["seed"] for job in await jobs_of(shell)] == [2, 2]
    made = written(shell)
    assert (made["made/a.png"], made["made/b.jpg"][:3]) == (png(16, 9), b"\xff\xd8\xff")
