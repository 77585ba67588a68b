"""Which tasks each workflow becomes, in which order, and what they are told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orrery.worlds.catalog import CATALOG, find
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.contracts import CONTRACTS
from orrery.worlds.plan import ArtifactRef, Plan, Task, TaskOutput
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, WorldRequest, settle

TINY = find("tiny-predict2")
CLIP = ArtifactRef(digest="c" * 64, size=1)


def request(workflow: Workflow, **fields: object) -> WorldRequest:
    conditioning = CLIP if workflow is Workflow.VIDEO2WORLD else None
    return settle(RequestedWorld.model_validate({"prompt": "a ball"} | fields), TINY, workflow, conditioning=conditioning)


STAGES = {
    Workflow.TEXT2IMAGE: [
        ("guard_prompt", "guardrail_text"),
        ("encode_text", "text_encoder/tiny-t5"),
        ("encode_negative_text", "text_encoder/tiny-t5"),
        ("denoise", "denoiser/tiny-predict2-text2image"),
        ("decode_video", "video_decoder/tiny-wan-vae"),
        ("publish", "publisher"),
    ],
    Workflow.VIDEO2WORLD: [
        ("guard_prompt", "guardrail_text"),
        ("encode_text", "text_encoder/tiny-t5"),
        ("encode_negative_text", "text_encoder/tiny-t5"),
        ("encode_video", "video_encoder/tiny-wan-vae"),
        ("denoise", "denoiser/tiny-predict2-video2world"),
        ("decode_video", "video_decoder/tiny-wan-vae"),
        ("publish", "publisher"),
    ],
    Workflow.TEXT2WORLD: [
        ("guard_prompt", "guardrail_text"),
        ("image_encode_negative_text", "text_encoder/tiny-t5"),
        ("encode_text", "text_encoder/tiny-t5"),
        ("encode_negative_text", "text_encoder/tiny-t5"),
        ("image_denoise", "denoiser/tiny-predict2-text2image"),
        ("image_decode_video", "video_decoder/tiny-wan-vae"),
        ("encode_video", "video_encoder/tiny-wan-vae"),
        ("denoise", "denoiser/tiny-predict2-video2world"),
        ("decode_video", "video_decoder/tiny-wan-vae"),
        ("publish", "publisher"),
    ],
}


@pytest.mark.parametrize("workflow", Workflow)
def test_the_stages_of_each_workflow(workflow: Workflow) -> None:
    tasks = plan(request(workflow), TINY).tasks
    assert [(task.id, task.pool) for task in tasks] == STAGES[workflow]


@pytest.mark.parametrize("model", CATALOG.values(), ids=lambda m: m.name)
@pytest.mark.parametrize("numerics", ["official", "diffusers"])
@pytest.mark.parametrize("workflow", Workflow)
def test_tasks_carry_what_the_contracts_of_their_stages_take(workflow: Workflow, numerics: str, model: object) -> None:
    for task in plan(request(workflow, numerics=numerics), TINY).tasks:
        contract = CONTRACTS[task.stage]
        given = set(task.parameters) | set(task.inputs) | ({"component"} if task.component else set())
        required = {t.name for t in contract.inputs + contract.parameters if not t.optional}
        assert required <= given <= {t.name for t in contract.inputs + contract.parameters}
        for source in task.inputs.values():
            if isinstance(source, TaskOutput):
                made_by = plan(request(workflow), TINY).task(source.task)
                assert source.output in {t.name for t in CONTRACTS[made_by.stage].outputs}


@pytest.mark.parametrize("workflow", Workflow)
def test_nothing_that_costs_a_device_runs_before_the_guardrail(workflow: Workflow) -> None:
    graph = plan(request(workflow), TINY)
    guarded = {"guard_prompt"}
    for task in graph.tasks[1:]:
        assert set(task.needs) & guarded, task.id
        guarded.add(task.id)


def test_without_guidance_there_is_no_negative_prompt() -> None:
    graph = plan(request(Workflow.VIDEO2WORLD, guidance_scale=0.0), TINY)
    assert "encode_negative_text" not in {task.id for task in graph.tasks}
    assert "negative_text_embeddings" not in graph.task("denoise").inputs


def test_diffusers_guides_only_above_one() -> None:
    assert "negative_text_embeddings" in plan(request(Workflow.TEXT2IMAGE, guidance_scale=0.5), TINY).task("denoise").inputs
    parity = request(Workflow.TEXT2IMAGE, guidance_scale=0.5, numerics="diffusers")
    assert "negative_text_embeddings" not in plan(parity, TINY).task("denoise").inputs


def test_parity_mode_reproduces_the_choices_of_diffusers() -> None:
    graph = plan(request(Workflow.VIDEO2WORLD, numerics="diffusers", seed=5), TINY)
    assert graph.task("denoise").parameters["rope_fps"] == 16.0
    assert graph.task("denoise").parameters["sampler"] == "euler"
    assert graph.task("encode_video").parameters["posterior_seed"] == 5
    official = plan(request(Workflow.VIDEO2WORLD, seed=5), TINY)
    assert "rope_fps" not in official.task("denoise").parameters
    assert "posterior_seed" not in official.task("encode_video").parameters


def test_only_the_denoiser_depends_on_the_seed() -> None:
    one, two = (plan(request(Workflow.VIDEO2WORLD, seed=seed), TINY) for seed in (1, 2))
    different = [a.id for a, b in zip(one.tasks, two.tasks, strict=True) if a != b]
    assert different == ["denoise"]


def test_the_image_before_a_world_has_the_aspect_ratio_of_the_world() -> None:
    graph = plan(request(Workflow.TEXT2WORLD, aspect_ratio="9:16"), TINY)
    assert graph.task("image_denoise").parameters["latent_shape"] == [1, 22, 12]
    released = find("predict2-2b")
    asked = settle(RequestedWorld(prompt="x", aspect_ratio="4:3"), released, Workflow.TEXT2WORLD)
    assert plan(asked, released).task("image_denoise").parameters["latent_shape"] == [1, 880 // 8, 1168 // 8]
    assert plan(asked, released).task("denoise").parameters["latent_shape"] == [24, 704 // 8, 960 // 8]


def test_a_plan_refuses_a_task_before_what_it_needs() -> None:
    first = Task(id="a", stage="publisher", inputs={"frames": TaskOutput(task="b", output="frames")})
    second = Task(id="b", stage="video_decoder")
    with pytest.raises(ValidationError, match="do not come before"):
        Plan(tasks=(first, second), result={})
    with pytest.raises(ValidationError, match="repeated"):
        Plan(tasks=(second, second), result={})
