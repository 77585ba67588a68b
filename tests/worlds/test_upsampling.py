"""Which requests are upsampled, and where in the plan that is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orrery.worlds.catalog import CATALOG, find
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.catalog.upsampling import PREDICT1_UPSAMPLING
from orrery.worlds.contracts import CONTRACTS
from orrery.worlds.errors import InvalidField
from orrery.worlds.plan import ArtifactRef, Plan, TaskOutput
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, WorldRequest, settle
from orrery.worlds.upsampling import TEMPLATES, template

TINY = find("tiny-predict2")
ALONE = TINY.model_copy(update={"text": TINY.world, "upsampling": PREDICT1_UPSAMPLING})
"""Made as Predict1 is: a world from text without an image before it."""

CLIP = ArtifactRef(digest="c" * 64, size=1)
WORLDS = (Workflow.TEXT2WORLD, Workflow.VIDEO2WORLD)


def settled(model: ModelSpec, workflow: Workflow, **fields: object) -> WorldRequest:
    asked = RequestedWorld.model_validate({"prompt": "a ball"} | fields)
    return settle(asked, model, workflow, conditioning=CLIP if workflow is Workflow.VIDEO2WORLD else None)


def planned(model: ModelSpec, workflow: Workflow, **fields: object) -> Plan:
    return plan(settled(model, workflow, **{"prompt_upsampling": True} | fields), model)


def before(made: Plan, task_id: str) -> set[str]:
    """All that must be done before a task."""
    needs = set(made.task(task_id).needs)
    return needs.union(*(before(made, need) for need in needs))


def ids(made: Plan) -> list[str]:
    return [task.id for task in made.tasks]


def test_a_world_from_a_clip_waits_for_the_prompt_that_was_chosen() -> None:
    made = planned(TINY, Workflow.VIDEO2WORLD)
    assert ids(made) == [
        "guard_prompt",
        "upsample_prompt",
        "guard_upsampled",
        "encode_text",
        "encode_negative_text",
        "encode_video",
        "denoise",
        "decode_video",
        "publish",
    ]
    upsample, encode = made.task("upsample_prompt"), made.task("encode_text")
    assert (upsample.pool, upsample.inputs) == ("prompt_upsampler/reason1-7b", {"frames": CLIP})
    assert (encode.parameters, encode.reads) == ({}, (("guard_upsampled", "chosen_prompt"),))
    for task in made.tasks[3:]:
        assert {"guard_prompt", "upsample_prompt", "guard_upsampled"} <= before(made, task.id), task.id


def test_a_world_from_text_shows_the_image_to_the_model_as_the_official_script_does() -> None:
    """The image is of the client's own prompt, which was checked; what comes after it is of the one that was chosen."""
    made = planned(TINY, Workflow.TEXT2WORLD)
    assert made.task("image_encode_text").parameters == {"prompt": "a ball"}
    image = TaskOutput(task="image_decode_video", output="frames")
    assert made.task("upsample_prompt").inputs == {"frames": image}
    assert made.task("image_denoise").inputs["text_embeddings"] == TaskOutput(
        task="image_encode_text", output="text_embeddings"
    )
    assert made.task("denoise").inputs["text_embeddings"] == TaskOutput(task="encode_text", output="text_embeddings")
    for task in ("encode_text", "encode_negative_text", "encode_video", "denoise", "decode_video", "publish"):
        assert "guard_upsampled" in before(made, task), task
    for task in made.tasks[1:]:
        assert "guard_prompt" in before(made, task.id), task.id


def test_a_world_from_text_alone_shows_no_picture() -> None:
    made = planned(ALONE, Workflow.TEXT2WORLD)
    assert ids(made)[:4] == ["guard_prompt", "upsample_prompt", "guard_upsampled", "encode_text"]
    assert (made.task("upsample_prompt").component, made.task("upsample_prompt").inputs) == ("upsample-prompt1-12b", {})


@pytest.mark.parametrize(("words", "upsampled"), [(1, True), (250, True), (251, False), (299, False)])
def test_a_long_prompt_is_left_alone_where_the_official_script_does(words: int, upsampled: bool) -> None:
    prompt = " ".join(["ball"] * words)
    made = planned(ALONE, Workflow.TEXT2WORLD, prompt=prompt)
    assert ("upsample_prompt" in ids(made)) is upsampled
    if not upsampled:
        assert made == planned(ALONE, Workflow.TEXT2WORLD, prompt=prompt, prompt_upsampling=False)
    assert "upsample_prompt" in ids(planned(ALONE, Workflow.VIDEO2WORLD, prompt=prompt)), "only of a world from text"


@pytest.mark.parametrize("workflow", WORLDS)
def test_another_seed_asks_the_same_unless_it_makes_another_picture(workflow: Workflow) -> None:
    one, other = (planned(TINY, workflow, seed=seed) for seed in (1, 2))
    assert one != other
    for task in ("guard_prompt", "upsample_prompt", "guard_upsampled", "encode_text"):
        assert one.task(task) == other.task(task)


def test_tasks_keep_to_the_contracts() -> None:
    for model, workflow in ((TINY, WORLDS[0]), (TINY, WORLDS[1]), (ALONE, WORLDS[0]), (ALONE, WORLDS[1])):
        for task in planned(model, workflow).tasks:
            contract = CONTRACTS[task.stage]
            given = {*task.parameters, *task.inputs, *(["component"] if task.component else [])}
            declared = {tensor.name: tensor for tensor in contract.inputs + contract.parameters}
            assert {name for name, tensor in declared.items() if not tensor.optional} <= given <= set(declared)
            assert (task.component is not None) == contract.has_component


def test_every_template_of_the_catalog_is_there_and_has_its_picture() -> None:
    specs = [(model, workflow, spec) for model in CATALOG.values() for workflow, spec in model.upsampling.items()]
    assert specs != []
    for model, workflow, spec in specs:
        assert spec.template in TEMPLATES
        pictured = workflow is Workflow.VIDEO2WORLD or model.text is None
        assert pictured or template(spec.template).picture is None


UNASKED: list[tuple[Callable[[ModelSpec], ModelSpec], dict[str, bool], bool]] = [
    (lambda model: model, {}, False),
    (lambda model: model, {"prompt_upsampling": True}, True),
    (lambda model: model.model_copy(update={"upsampled_unasked": True}), {}, True),
    (lambda model: model.model_copy(update={"upsampled_unasked": True}), {"prompt_upsampling": False}, False),
    (lambda model: model.model_copy(update={"upsampled_unasked": True, "upsampling": {}}), {}, False),
]


@pytest.mark.parametrize(("serve", "asked", "upsampled"), UNASKED, ids=range(len(UNASKED)))
def test_who_says_nothing_gets_what_the_model_is_served_with(
    serve: Callable[[ModelSpec], ModelSpec], asked: dict[str, bool], upsampled: bool
) -> None:
    assert settled(serve(TINY), Workflow.TEXT2WORLD, **asked).prompt_upsampling is upsampled


@pytest.mark.parametrize(("model", "workflow"), [("tiny-predict2", Workflow.TEXT2IMAGE), ("miniature", Workflow.TEXT2WORLD)])
def test_asking_for_what_nothing_does_is_refused(model: str, workflow: Workflow) -> None:
    with pytest.raises(InvalidField) as refused:
        settled(find(model), workflow, prompt_upsampling=True)
    assert (refused.value.field, refused.value.allowed) == ("prompt_upsampling", [False])
    assert settled(find(model), workflow, prompt_upsampling=False).prompt_upsampling is False
