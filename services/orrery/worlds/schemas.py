"""What may be asked of a model, as JSON Schema: the ranges that `settle` holds a request to, for machines."""

from __future__ import annotations

from typing import Any

from orrery.worlds.catalog.models import DenoiserSpec, IntRange, ModelSpec, Workflow
from orrery.worlds.lengths import longest
from orrery.worlds.loras import lora_schemas
from orrery.worlds.requests import MAX_SEED, Numerics, conditioning_frames, output_formats, upsampling_choices
from orrery.worlds.synonyms import SYNONYMS

Schema = dict[str, Any]


def schema_of(model: ModelSpec, workflow: Workflow) -> Schema:
    """Of a body that asks for `workflow`, under Orrery's names of the fields; null means that a field is not given.

    Two things JSON Schema cannot say of it: a prompt is bounded in words, and a `size` must agree with `resolution` and
    `aspect_ratio` where they are given too.
    """
    properties = _words(model, workflow) | _shape(model, workflow) | _sampling(model, workflow)
    if workflow is not Workflow.TEXT2IMAGE:
        properties |= _time(model, workflow)
    for name, schema in properties.items():
        if name in SYNONYMS:
            schema["x-synonyms"] = list(SYNONYMS[name])
    return {
        "type": "object",
        "properties": properties,
        "required": ["prompt"],
        "additionalProperties": False,
    }


def _words(model: ModelSpec, workflow: Workflow) -> dict[str, Schema]:
    words = f"up to {model.max_prompt_words - 1} words"
    negative = model.denoiser(workflow).default_negative_prompt
    return {
        "prompt": {"type": "string", "minLength": 1, "description": f"What is to be seen, in {words}."},
        "negative_prompt": {"type": "string", "default": negative, "description": f"What is not to be seen, in {words}."},
    }


def _shape(model: ModelSpec, workflow: Workflow) -> dict[str, Schema]:
    spec = model.denoiser(workflow)
    size = spec.sizes[spec.default_resolution][spec.default_aspect_ratio]
    ratios = sorted({ratio for sizes in spec.sizes.values() for ratio in sizes})
    return {
        "size": _one_of([str(size) for size in spec.all_sizes], str(size), "Width x height in pixels."),
        "resolution": _one_of(sorted(spec.sizes), spec.default_resolution, "Tier of sizes."),
        "aspect_ratio": _one_of(ratios, spec.default_aspect_ratio, "Width to height."),
        "output_format": _one_of(
            [str(one) for one in output_formats(workflow)], str(output_formats(workflow)[0]), "Of the file."
        ),
    }


def _time(model: ModelSpec, workflow: Workflow) -> dict[str, Schema]:
    spec = model.denoiser(workflow)
    conditional = list(conditioning_frames(model, workflow))
    return {
        "num_frames": _num_frames(spec),
        "seconds": {
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": longest(spec) // spec.fps[0],
            "pattern": "^[+-]?[0-9]{1,20}$",
            "description": "The least length; instead of num_frames. OpenAI's clients send it as a string.",
        },
        "fps": _one_of(list(spec.fps), spec.fps[0], "Frames per second."),
        "num_conditional_frames": _one_of(conditional, conditional[0], "How many frames of a clip the world goes on from."),
        "prompt_upsampling": _upsampling(model, workflow),
    } | _chunks(spec)


def _num_frames(spec: DenoiserSpec) -> Schema:
    """Beyond what one pass makes, every number is allowed where films are made in chunks of a size."""
    schema = _integers(spec.num_frames, spec.default_num_frames, "Frames; instead of seconds.")
    most = longest(spec)
    if most == spec.num_frames.maximum:
        return schema
    longer = {"type": "integer", "minimum": spec.num_frames.maximum + 1, "maximum": most}
    told = {name: schema.pop(name) for name in ("default", "description")}
    return told | {"anyOf": [schema, longer]}


def _chunks(spec: DenoiserSpec) -> dict[str, Schema]:
    chunks = spec.chunks
    if chunks is None:
        return {}
    shared = "Frames of a chunk that the next one begins with."
    overlap = {"chunk_overlap": _one_of(list(chunks.overlaps), chunks.overlaps[0], shared)}
    if chunks.sizes is None:
        count = IntRange(minimum=1, maximum=chunks.maximum)
        return {"num_chunks": _integers(count, 1, "Passes of num_frames, each from the end of the one before.")} | overlap
    size = _integers(chunks.sizes, chunks.default_size, "Frames that each pass of a longer film gives.")
    return {"chunk_size": size} | overlap


def _upsampling(model: ModelSpec, workflow: Workflow) -> Schema:
    """Of an image the prompt stays as it is, in the official scripts too."""
    usual, allowed = upsampling_choices(model, workflow)
    described = "Whether a language model rewrites the prompt first."
    return {"type": "boolean", "enum": list(allowed), "default": usual, "description": described}


def _sampling(model: ModelSpec, workflow: Workflow) -> dict[str, Schema]:
    spec = model.denoiser(workflow)
    steps = _integers(model.num_inference_steps, model.default_num_inference_steps, "Steps of the sampler.")
    scale = {"type": "number", "minimum": model.guidance_scale.minimum, "maximum": model.guidance_scale.maximum}
    seed = _integers(IntRange(minimum=0, maximum=MAX_SEED), 0, "Of the noise: the same seed, the same world.")
    theirs = f"In diffusers' numerics the default is {spec.diffusers_sampler}."
    samplers = _one_of([str(one) for one in spec.samplers], str(spec.samplers[0]), theirs)
    return {
        "num_inference_steps": steps,
        "guidance_scale": scale
        | {"default": spec.default_guidance_scale, "description": "How strictly the prompt is kept to."},
        "seed": seed,
        "sampler": samplers,
        "numerics": _one_of([str(one) for one in Numerics], str(Numerics.OFFICIAL), "Whose numbers to reproduce."),
        **lora_schemas(model),
    }


def _integers(limits: IntRange, default: int, description: str) -> Schema:
    """JSON Schema knows no steps that do not begin at 0: then every value is listed."""
    bounds: Schema = {"type": "integer", "minimum": limits.minimum, "maximum": limits.maximum}
    if limits.step > 1:
        bounds["enum"] = list(range(limits.minimum, limits.maximum + 1, limits.step))
    return bounds | {"default": default, "description": description}


def _one_of(values: list[Any], default: Any, description: str) -> Schema:
    kind = "string" if isinstance(values[0], str) else "integer"
    return {"type": kind, "enum": values, "default": default, "description": description}
