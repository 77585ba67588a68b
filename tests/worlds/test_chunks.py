"""Films longer than one pass: what may be asked for, and which work it becomes."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orrery.worlds.catalog import find
from orrery.worlds.catalog.models import ChunkSpec, IntRange, ModelSpec, Workflow
from orrery.worlds.contracts import CONTRACTS
from orrery.worlds.errors import InvalidField
from orrery.worlds.parameters import parameters_of
from orrery.worlds.plan import ArtifactRef, Plan, TaskOutput
from orrery.worlds.planner import plan
from orrery.worlds.requests import MAX_SEED, RequestedWorld, WorldRequest, asked_again, settle
from orrery.worlds.schemas import schema_of

COUNTED = find("tiny-predict2")
CLIP = ArtifactRef(digest="c" * 64, size=1)
FILM = ArtifactRef(digest="f" * 64, size=1)


def measured() -> ModelSpec:
    """A model that makes long films as Predict2.5 does: 93 frames a pass, of which 77 stay."""
    assert COUNTED.world is not None
    chunks = ChunkSpec(sizes=IntRange(minimum=9, maximum=93), default_size=77, seed_step=1)
    frames = {"num_frames": IntRange(minimum=5, maximum=93, step=4), "default_num_frames": 77, "chunks": chunks}
    world = COUNTED.world.model_copy(update=frames | {"conditional_timestep": 0.1})
    text = world.model_copy(update={"num_conditional_frames": (), "conditional_timestep": None})
    return COUNTED.model_copy(update={"world": world, "text": text})


MEASURED = measured()


def asked(model: ModelSpec, workflow: Workflow = Workflow.VIDEO2WORLD, **fields: Any) -> WorldRequest:
    conditioning = CLIP if workflow is Workflow.VIDEO2WORLD else None
    return settle(RequestedWorld.model_validate({"prompt": "a ball"} | fields), model, workflow, conditioning=conditioning)


def chunk_of(graph: Plan, index: int) -> list[str]:
    suffix = "" if index == 0 else f"_{index + 1}"
    return [f"{name}{suffix}" for name in ("encode_video", "denoise", "decode_video")]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"num_chunks": 0}, "num_chunks"),
        ({"num_chunks": 25}, "num_chunks"),
        ({"num_chunks": 2, "chunk_overlap": 2}, "chunk_overlap"),
        ({"num_chunks": 2, "chunk_overlap": 5, "num_frames": 5}, "num_frames"),
        ({"num_chunks": 2, "seconds": 1}, "seconds"),
        ({"chunk_size": 77}, "chunk_size"),
    ],
)
def test_what_counts_chunks_refuses(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        asked(COUNTED, **fields)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"num_frames": 200, "num_chunks": 3}, "num_chunks"),
        ({"num_frames": 90}, "num_frames"),
        ({"num_frames": 77 + 23 * 76 + 1}, "num_frames"),
        ({"seconds": 115}, "seconds"),
        ({"num_frames": 1000, "chunk_size": 9}, "num_frames"),
        ({"chunk_size": 94}, "chunk_size"),
        ({"chunk_overlap": 3}, "chunk_overlap"),
        ({"num_frames": 200, "seed": MAX_SEED - 1}, "seed"),
    ],
)
def test_what_measures_chunks_refuses(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        asked(MEASURED, **fields)
    assert refusal.value.field == field


def test_a_model_without_chunks_takes_one() -> None:
    plain = MEASURED.model_copy(update={"world": MEASURED.denoiser(Workflow.VIDEO2WORLD).model_copy(update={"chunks": None})})
    assert asked(plain, num_chunks=1) == asked(plain)
    for field in ("num_chunks", "chunk_size", "chunk_overlap"):
        with pytest.raises(InvalidField, match=field):
            asked(plain, **{field: 5})


@pytest.mark.parametrize("frames", [77, 93, 94, 153, 154, 200, 1825])
def test_as_many_chunks_as_the_official_formula_says(frames: int) -> None:
    chunks = 1 if frames <= 93 else 1 + ceil((frames - 77) / (77 - 1))
    request = asked(MEASURED, num_frames=frames)
    assert (request.num_chunks, request.film_frames) == (chunks, frames)
    denoised = [task for task in plan(request, MEASURED).tasks if task.stage == "denoiser"]
    assert len(denoised) == chunks


def test_a_size_that_is_asked_for_is_kept_below_one_pass_too() -> None:
    assert asked(MEASURED, num_frames=93, chunk_size=77).num_chunks == 2
    assert asked(MEASURED, num_frames=77, chunk_size=77) == asked(MEASURED, num_frames=77)
    assert asked(MEASURED, seconds=20, chunk_size=93, chunk_overlap=5).num_chunks == 1 + ceil((320 - 93) / 88)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (COUNTED, {}),
        (COUNTED, {"num_chunks": 3, "chunk_overlap": 5}),
        (MEASURED, {}),
        (MEASURED, {"num_frames": 200, "chunk_overlap": 5}),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_what_was_settled_can_be_asked_for_again(model: ModelSpec, fields: dict[str, Any]) -> None:
    request = asked(model, **fields)
    assert set(fields) <= set(parameters_of(model, Workflow.VIDEO2WORLD))
    assert settle(asked_again(request), model, request.workflow, conditioning=CLIP) == request


@pytest.mark.parametrize("frames", [4, 5, 90, 93, 94, 95, 1825, 1826])
def test_the_schema_knows_how_long_a_film_may_be(frames: int) -> None:
    schema = Draft202012Validator(schema_of(MEASURED, Workflow.TEXT2WORLD))
    try:
        asked(MEASURED, Workflow.TEXT2WORLD, num_frames=frames)
        taken = True
    except InvalidField:
        taken = False
    assert schema.is_valid({"prompt": "x", "num_frames": frames}) == taken


def test_chunks_that_are_counted_share_a_seed_and_give_all_they_make() -> None:
    """As a straight loop over `examples/video2world_lvg.py` would: one seed, `num_conditional_frames` for the first alone."""
    graph = plan(asked(COUNTED, num_chunks=3, num_frames=13, chunk_overlap=5, seed=7), COUNTED)
    whole = [task.id for task in graph.tasks if task.stage in ("video_encoder", "denoiser", "video_decoder")]
    assert whole == [name for index in range(3) for name in chunk_of(graph, index)]
    for index in range(3):
        encode, denoise, decode = (graph.task(name) for name in chunk_of(graph, index))
        assert denoise.parameters["seed"] == 7
        assert denoise.parameters["latent_shape"] == [4, 12, 22]
        assert denoise.inputs["condition_latents"] == TaskOutput(task=encode.id, output="latents")
        assert denoise.inputs["text_embeddings"] == graph.task("denoise").inputs["text_embeddings"]
        assert (decode.parameters, decode.inputs) == ({}, {"latents": TaskOutput(task=denoise.id, output="latents")})
    assert graph.task("encode_video").inputs == {"frames": CLIP}
    for index, before in ((2, "decode_video"), (3, "decode_video_2")):
        encode = graph.task(f"encode_video_{index}")
        assert encode.inputs == {"frames": TaskOutput(task=before, output="frames")}
        assert encode.parameters == {"height": 96, "width": 176, "last_frames": 5}


def test_chunks_that_are_measured_count_the_seed_up_and_give_a_part() -> None:
    """As `generate_autoregressive_from_batch`: a whole pass each time, 77 of it, and of the last what is still needed."""
    graph = plan(asked(MEASURED, Workflow.TEXT2WORLD, num_frames=200, seed=7), MEASURED)
    denoised = [task for task in graph.tasks if task.stage == "denoiser"]
    decoded = [task for task in graph.tasks if task.stage == "video_decoder"]
    assert [task.parameters["seed"] for task in denoised] == [7, 8, 9]
    assert {tuple(task.parameters["latent_shape"]) for task in denoised} == {(24, 12, 22)}
    assert [task.parameters["num_frames"] for task in decoded] == [77, 77, 200 - 2 * 76]
    assert ["condition_latents" in task.inputs for task in denoised] == [False, True, True]
    assert [task.parameters.get("conditional_timestep") for task in denoised] == [None, 0.1, 0.1]
    assert [task.parameters["last_frames"] for task in graph.tasks if task.stage == "video_encoder"] == [1, 1]


def test_a_film_in_chunks_is_published_piece_by_piece_and_shown_whole() -> None:
    request = asked(COUNTED, num_chunks=3, num_frames=13).model_copy(update={"prelude": FILM})
    graph = plan(request, COUNTED)
    published = [task for task in graph.tasks if task.stage == "publisher"]
    assert [task.id for task in published] == ["publish_1", "publish_2", "publish"]
    assert [task.inputs["prelude"] for task in published] == [
        FILM,
        TaskOutput(task="publish_1", output="media"),
        TaskOutput(task="publish_2", output="media"),
    ]
    assert [task.parameters["overlap"] for task in published] == [1, 1, 1]
    assert [task.parameters.get("whole") for task in published] == [None, None, True]
    assert set(graph.result.values()) == {TaskOutput(task="publish", output=name) for name in graph.result}


def test_the_first_chunk_is_the_work_of_a_film_without_others() -> None:
    """So that what was made once is remembered for the longer film."""
    short, long = (plan(asked(COUNTED, num_chunks=count), COUNTED) for count in (1, 3))
    assert [task for task in short.tasks if task.id != "publish"] == list(long.tasks[: len(short.tasks) - 1])
    assert plan(asked(COUNTED, num_chunks=5), COUNTED).task("denoise_3") == long.task("denoise_3")


@pytest.mark.parametrize("numerics", ["official", "diffusers"])
def test_tasks_of_chunks_carry_what_their_contracts_take(numerics: str) -> None:
    requests = [(COUNTED, {"num_chunks": 3}), (MEASURED, {"num_frames": 200})]
    for model, fields in requests:
        for task in plan(asked(model, numerics=numerics, **fields), model).tasks:
            contract = CONTRACTS[task.stage]
            given = set(task.parameters) | set(task.inputs) | ({"component"} if task.component else set())
            required = {t.name for t in contract.inputs + contract.parameters if not t.optional}
            assert required <= given <= {t.name for t in contract.inputs + contract.parameters}
    later = plan(asked(MEASURED, numerics="diffusers", num_frames=200, seed=7), MEASURED).task("encode_video_2")
    assert (later.parameters["posterior_seed"], later.parameters["posterior_frames"]) == (8, 93)
