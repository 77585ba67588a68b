"""Upsampled jobs among their stores, with the real stages that deal with text and a stand-in for the one that needs weights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orrery.artifacts import ArtifactStore, open_store
from orrery.gateway.upsampled import upsampling_view
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import Job, JobState, Submission
from orrery.stages.guardrail_text import REFUSED, GuardrailText
from orrery.stages.prompt_upsampler import PromptUpsampler
from orrery.stages.stage import Endpoint, StageSettings
from orrery.telemetry.process import Telemetry
from orrery.worker.observing import Observer
from orrery.worker.runner import Runner
from orrery.worker.stage_client import InProcessStages
from orrery.worker.tensors import store
from orrery.worker.worker import Worker, WorkerSettings
from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.components import ComponentFile, ComponentKind, ComponentManifest
from orrery.worlds.contracts import FRAMES
from orrery.worlds.errors import UpsamplingFailed
from orrery.worlds.plan import ArtifactRef, Plan, TaskOutput
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, WorldRequest, settle
from orrery.worlds.upsampling import Fail, served
from stages.language_model import MemoryChat
from stages.setting import clip
from worker.rig import eventually, working

MODEL = find("tiny-predict2")
T5 = ComponentManifest(
    name=MODEL.text_encoder, kind=ComponentKind.TEXT_ENCODER, files={"weights": ComponentFile(sha256="0" * 64, size=1)}
)
OWN, LONG = "a robot", "A robot of brushed steel walks through warm light."


@dataclass
class Line:
    """From a request to the embedding of whichever prompt was chosen; `encoded` are the prompts that were embedded."""

    fail: Fail = Fail.OPEN
    answer: str | UpsamplingFailed = LONG
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    artifacts: ArtifactStore = field(default_factory=lambda: open_store("memory://"))
    encoded: list[str] = field(default_factory=list)
    chat: MemoryChat = field(init=False)
    observer: Observer = field(init=False)

    def __post_init__(self) -> None:
        self.chat = MemoryChat(lambda _: self.answer)

    def _encode(self, values: Any, call: Any) -> dict[str, Any]:
        text = values["chosen_prompt"].tobytes().decode() if "chosen_prompt" in values else values["prompt"]
        self.encoded.append(text)
        return {"text_embeddings": np.full((1, 1), len(text), np.float32)}

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        settings = StageSettings(models_dir=Path(), upsampler=Endpoint(url="http://none/v1", model="m", fail=self.fail))
        stages = {
            "guardrail_text": GuardrailText(settings).run,
            "prompt_upsampler": PromptUpsampler(settings, self.chat).run,
            "text_encoder": self._encode,
        }
        template = served("reason1-7b", url="http://none/v1", model="m", fail=self.fail)
        self.observer = Observer(Telemetry())
        runner = Runner(self.jobs, self.artifacts, InProcessStages(stages), {T5.name: T5, template.name: template})
        pools = {
            "guardrail_text": ("guardrail_text",),
            "prompt_upsampler": ("prompt_upsampler/reason1-7b",),
            "text_encoder": (f"text_encoder/{T5.name}",),
        }
        async with working(
            Worker(WorkerSettings(name="worker", pools=pools, claim_wait=0.05), self.jobs, runner, self.observer)
        ):
            yield

    async def made(self, job_id: str, **fields: Any) -> Job:
        """A job of the plan's tasks up to the embedding."""
        frames = await store(self.artifacts, FRAMES, clip(1, 16, 16))
        request = _request(frames, **fields)
        whole = plan(request, MODEL)
        tasks = tuple(
            task for task in whole.tasks if task.id in ("guard_prompt", "upsample_prompt", "guard_upsampled", "encode_text")
        )
        part = Plan(tasks=tasks, result={"text": TaskOutput(task="encode_text", output="text_embeddings")})
        told = request.model_dump(mode="json")
        await self.jobs.submit(
            Submission(job_id=job_id, model=MODEL.name, workflow=request.workflow.value, request=told, plan=part)
        )

        async def ended() -> bool:
            return (await self.jobs.get(job_id)).state.ended

        await eventually(ended)
        return await self.jobs.get(job_id)


def _request(frames: ArtifactRef, **fields: Any) -> WorldRequest:
    asked = RequestedWorld.model_validate({"prompt": OWN, "prompt_upsampling": True} | fields)
    return settle(asked, MODEL, Workflow.VIDEO2WORLD, conditioning=frames)


def told(job: Job) -> tuple[Any, Any, Any]:
    """What the job says of its prompt."""
    view = upsampling_view(job, WorldRequest.model_validate(job.request))
    choice = view["upsampling"] or {"outcome": None, "reason": None}
    return view["upsampled_prompt"], choice["outcome"], choice["reason"]


async def test_the_prompt_that_the_model_wrote_is_embedded_and_is_in_the_job() -> None:
    line = Line()
    async with line.at_work():
        job = await line.made("one")
    assert (job.state, told(job)) == (JobState.COMPLETED, (LONG, "upsampled", None))
    assert line.encoded == [LONG]


async def test_another_seed_asks_nobody_again_and_a_prompt_of_its_own_is_embedded_as_ever() -> None:
    line = Line()
    async with line.at_work():
        await line.made("one", seed=1)
        other = await line.made("other", seed=2)
        plain = await line.made("plain", prompt_upsampling=False)
    assert len(line.chat.asked) == 1
    assert told(other) == (LONG, "upsampled", None)
    assert all(task.memo for task in other.tasks if task.id != "guard_prompt")
    assert (told(plain), line.encoded) == ((None, None, None), [LONG, OWN])


async def test_a_failure_is_not_remembered_and_the_prompt_goes_on_as_it_was() -> None:
    line = Line(answer=UpsamplingFailed("it is away"))
    async with line.at_work():
        without = await line.made("without")
        line.answer = LONG
        again = await line.made("again")
    assert (without.state, told(without)) == (JobState.COMPLETED, (OWN, "original", "it is away"))
    assert told(again) == (LONG, "upsampled", None)
    assert line.encoded == [OWN, LONG]
    counted = line.observer.metrics.passing.labels("prompt_upsampler", "reason1-7b")
    assert next(iter(counted.collect())).samples[0].value == 1


async def test_a_failure_that_is_closed_fails_the_job_in_its_own_words_and_at_once() -> None:
    line = Line(fail=Fail.CLOSED, answer=UpsamplingFailed("it is away"))
    async with line.at_work():
        job = await line.made("one")
    assert (job.state, job.error) == (JobState.FAILED, {"code": "upsampling_failed", "message": "it is away"})
    assert (line.encoded, len(line.chat.asked)) == ([], 1)
    assert told(job) == (None, "pending", None)


@pytest.mark.parametrize("fail", Fail)
async def test_a_prompt_that_the_guardrail_refuses_is_embedded_by_nobody(fail: Fail) -> None:
    line = Line(fail=fail, answer="a nude robot walks")
    async with line.at_work():
        job = await line.made("one")
    if fail is Fail.OPEN:
        assert (line.encoded, told(job)) == ([OWN], (OWN, "original", REFUSED))
    else:
        assert job.error is not None
        assert (line.encoded, job.error["code"], job.error["field"]) == ([], "prompt_blocked", "upsampled_prompt")


async def test_prompts_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for fail, answer in ((Fail.OPEN, LONG), (Fail.OPEN, "a nude robot walks"), (Fail.CLOSED, UpsamplingFailed("it is away"))):
        line = Line(fail=fail, answer=answer)
        async with line.at_work():
            await line.made("one")
    assert caplog.records != []
    assert not any(word in record.getMessage() for record in caplog.records for word in ("robot", "nude", "steel"))
