"""What a request for images asks for: several worlds of one frame that differ in their seeds."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orrery.gateway.context import Gateway
from orrery.gateway.fields import read_value, requested_world
from orrery.gateway.parameters import RESPONSE_FORMATS
from orrery.gateway.submitting import Taken, guard, submit
from orrery.gateway.terms import Terms, body_digest
from orrery.jobs.records import Job
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.errors import InvalidField
from orrery.worlds.requests import WorldRequest, settle
from orrery.worlds.synonyms import canonical_fields, known_names, named_as_given, refuse_unknown

WORLD_FIELDS = (
    "prompt",
    "negative_prompt",
    "size",
    "resolution",
    "aspect_ratio",
    "num_inference_steps",
    "guidance_scale",
    "seed",
    "sampler",
    "numerics",
    "output_format",
    "lora",
    "lora_scale",
)
KNOWN_FIELDS = (*WORLD_FIELDS, "model", "n", "response_format", "priority", "expires_after")
KNOWN_NAMES = known_names(KNOWN_FIELDS)

PART_OF_KEY = "\n"
"""Between a client's key and the number of an image: no key of a client's contains it."""


@dataclass(frozen=True)
class AskedImages:
    """`worlds` have the seeds `seed`, `seed + 1`, ...; `fields` is the body under Orrery's names."""

    model: ModelSpec
    worlds: tuple[WorldRequest, ...]
    response_format: str
    fields: dict[str, Any]


def settle_images(gateway: Gateway, values: Mapping[str, Any]) -> AskedImages:
    """Every check of a body. Raises `UnknownField`, `InvalidField`, `UnknownModel`, `PromptBlocked`."""
    refuse_unknown(values, KNOWN_NAMES)
    with named_as_given(values):
        fields = canonical_fields(values)
        model = gateway.model(fields.get("model"))
        count, response_format = _count(fields.get("n"), model), _response_format(fields.get("response_format"))
        asked = requested_world(
            {name: value for name, value in fields.items() if name in WORLD_FIELDS}, model, Workflow.TEXT2IMAGE, form=False
        )
        seeds = range(asked.seed, asked.seed + count)
        worlds = tuple(settle(asked.model_copy(update={"seed": seed}), model, Workflow.TEXT2IMAGE) for seed in seeds)
        guard(worlds[0])
    return AskedImages(model, worlds, response_format, fields)


async def take_image(gateway: Gateway, asked: AskedImages, index: int, terms: Terms) -> Taken:
    """The job of one of the images. A key stands for all of them: each has its own part of it."""
    key = None if terms.key is None else f"{terms.key}{PART_OF_KEY}{index}"
    body = {name: value for name, value in asked.fields.items() if name != "response_format"}
    digest = "" if key is None else body_digest(body, None)
    own = replace(terms, key=key)
    return await submit(gateway, asked.worlds[index], asked.model, own, body=digest)


async def image_view(gateway: Gateway, job: Job, response_format: str, base_url: str) -> dict[str, Any]:
    """One of OpenAI's images. `base_url` is where the client finds this gateway, with a slash at its end."""
    written = await _FORMS[response_format](gateway, job, base_url)
    return written | {"revised_prompt": None, "seed": job.request["seed"], "id": job.id}


async def _inline(gateway: Gateway, job: Job, _base_url: str) -> dict[str, Any]:
    return {"b64_json": base64.b64encode(await gateway.artifacts.get(job.result["media"])).decode()}


async def _by_address(_gateway: Gateway, job: Job, base_url: str) -> dict[str, Any]:
    return {"url": f"{base_url}v1/images/{job.id}/content"}


_FORMS: dict[str, Callable[[Gateway, Job, str], Awaitable[dict[str, Any]]]] = {"b64_json": _inline, "url": _by_address}


def _count(value: Any, model: ModelSpec) -> int:
    count = 1 if value is None else read_value("n", value, form=False)
    if type(count) is not int or not 1 <= count <= model.max_outputs:
        raise InvalidField("n is out of range", field="n", allowed=f"1 to {model.max_outputs}")
    return count


def _response_format(value: Any) -> str:
    if value is not None and value not in RESPONSE_FORMATS:
        raise InvalidField("response_format is not offered", field="response_format", allowed=list(RESPONSE_FORMATS))
    return value or RESPONSE_FORMATS[0]
