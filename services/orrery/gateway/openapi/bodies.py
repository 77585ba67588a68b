"""What the gateway takes, as it is documented: derived from the models that are served."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orrery.gateway.batching.endpoints import ENDPOINTS
from orrery.gateway.deriving import CHANGEABLE
from orrery.gateway.nim.fields import KNOWN_FIELDS as NIM_FIELDS
from orrery.gateway.nim.fields import MODES
from orrery.gateway.parameters import request_schema
from orrery.gateway.references import REFERENCE
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.shelf import LONGEST, PURPOSES, SHORTEST
from orrery.gateway.terms import FIELDS
from orrery.worlds.catalog.models import Workflow
from orrery.worlds.schemas import Schema
from orrery.worlds.synonyms import SIDES, spellings

EXAMPLES: dict[str, Schema] = {
    "CreateVideo": {"prompt": "A red ball rolls across a wooden table.", "seed": 7, "num_inference_steps": 35},
    "RemixVideo": {"prompt": "A red ball rolls across a wooden table at night."},
    "GenerateImages": {"prompt": "A red ball on a wooden table.", "n": 2, "seed": 3},
    "Infer": {"prompt": "A red ball rolls.", "seed": 4, "steps": 35, "guidance_scale": 7.5},
}
"""Bodies that any model takes."""

WORLDS = (Workflow.TEXT2WORLD, Workflow.VIDEO2WORLD)
VIDEO = "video"


def bodies(settings: GatewaySettings) -> dict[str, Schema]:
    """Schemas by name."""
    world = _fields(settings, WORLDS)
    changes = {name: world[name] for name in (*CHANGEABLE, *FIELDS) if name in world}
    clip = {name: schema for name, schema in world.items() if name != REFERENCE}
    return {
        "CreateVideo": _json(world),
        "CreateVideoForm": _form(world, REFERENCE),
        "RemixVideo": _json(changes),
        "RemixVideoForm": _form(changes),
        "ContinueVideo": _json(clip | {VIDEO: _video()}, VIDEO),
        "ContinueVideoForm": _form(clip, VIDEO) | {"required": ["prompt"]},
        "GenerateImages": _json(_fields(settings, [Workflow.TEXT2IMAGE])),
        "Infer": _infer(),
        "UploadFile": _upload(),
        "CreateBatch": _batch(),
    }


def _fields(settings: GatewaySettings, workflows: Iterable[Workflow]) -> dict[str, Schema]:
    """Of any served model: what is outside of these none of them takes."""
    models = [settings.served(name) for name in settings.models]
    schemas = [request_schema(model, workflow) for workflow in workflows for model in models if workflow in model.workflows]
    fields: dict[str, Schema] = {}
    for schema in schemas:
        for name, field in schema["properties"].items():
            fields[name] = _either(fields[name], field) if name in fields else field
    if REFERENCE in fields:
        fields[REFERENCE] = _reference()
    if not settings.webhooks and "webhook_url" in fields:
        fields["webhook_url"] = {"type": "null", "description": "Webhooks are not set up here."}
    return fields


def _either(one: Schema, other: Schema) -> Schema:
    """What one or the other takes."""
    if "anyOf" in one or "anyOf" in other:
        kinds = [kind for schema in (one, other) for kind in schema.get("anyOf", [schema])]
        return {"anyOf": [kind for index, kind in enumerate(kinds) if kind not in kinds[:index]]}
    both = {key: value for key, value in one.items() if other.get(key) == value}
    if "enum" in one and "enum" in other:
        both["enum"] = list(dict.fromkeys((*one["enum"], *other["enum"])))
    for key, choose in (("minimum", min), ("maximum", max)):
        if key in one and key in other:
            both[key] = choose(one[key], other[key])
    return both


def _json(fields: dict[str, Schema], *required: str) -> Schema:
    """Null is as good as leaving a field out."""
    must = ["prompt", *required]
    return _object({name: schema if name in must else _or_null(schema) for name, schema in fields.items()}, must)


def _form(fields: dict[str, Schema], file: str | None = None) -> Schema:
    """As multipart/form-data: numbers are written out, and one part may be a file."""
    named = {name: _plain(schema) for name, schema in fields.items()}
    if file is not None:
        named[file] = {"type": "string", "format": "binary"}
    return _object(named, ["prompt"])


def _object(fields: dict[str, Schema], required: list[str]) -> Schema:
    """Beside each field its other names, of which one may stand for it."""
    others = {name: spellings(name)[1:] for name in fields if spellings(name)[1:]}
    patterns = {f"^({'|'.join(names)})$": fields[name] for name, names in others.items()}
    if "size" in fields:
        patterns[f"^({'|'.join(SIDES)})$"] = {"type": ["integer", "string", "null"], "description": "Both, instead of size."}
    rest: Schema = {"patternProperties": patterns} if patterns else {}
    return {"type": "object", "properties": fields, "required": required, **rest, "additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    allowed = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": list(dict.fromkeys([*kinds, "null"]))} | allowed


def _plain(schema: Schema) -> Schema:
    """A form has no types: what is a number or a text in JSON is a text that reads as one."""
    return schema | {"type": "string"} if isinstance(schema.get("type"), list) or schema.get("type") == "null" else schema


def _reference() -> Schema:
    named: list[Schema] = [_object_of(key) for key in ("image_url", "video_url", "file_id")]
    described = "A data URL or a file's id; an https URL where URL inputs are on."
    text = {"type": "string", "pattern": "^(data:|file-|https://)", "description": described}
    return {"anyOf": [text, *named], "description": "What the world starts from."}


def _object_of(key: str) -> Schema:
    return {"type": "object", "properties": {key: {"type": "string"}}, "required": [key], "additionalProperties": False}


def _video() -> Schema:
    described = "A video's id; or a clip, as a data URL, a file's id, or an https URL where URL inputs are on."
    job = {"type": "string", "pattern": "^(video_|data:|file-|https://)", "description": described}
    return {"anyOf": [job, *(_object_of(key) for key in ("id", "image_url", "video_url", "file_id"))]}


def _infer() -> Schema:
    fields: dict[str, Schema] = {name: {} for name in NIM_FIELDS}
    fields |= {name: {"type": ["string", "null"]} for name in ("prompt", "negative_prompt", "image", "video", "resolution")}
    fields |= {name: {"type": ["integer", "null"]} for name in ("seed", "steps", "num_inference_steps", "num_frames", "fps")}
    fields["guidance_scale"] = {"type": ["number", "null"]}
    fields["prompt_upsampling"] = {"type": ["boolean", "null"]}
    fields["model_mode"] = {"type": ["string", "null"], "enum": [*(name for name, known in MODES.items() if known), None]}
    fields["prompt"] = {"type": "string", "minLength": 1}
    return {"type": "object", "properties": fields, "required": ["prompt"], "additionalProperties": False}


def _upload() -> Schema:
    fields: dict[str, Any] = {
        "file": {"type": "string", "format": "binary"},
        "purpose": {"type": "string", "enum": list(PURPOSES)},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer", "minimum": SHORTEST, "maximum": LONGEST},
    }
    return {"type": "object", "properties": fields, "required": ["file", "purpose"], "additionalProperties": False}


def _batch() -> Schema:
    seconds = {"type": "integer", "minimum": SHORTEST, "maximum": LONGEST}
    policy = {
        "type": ["object", "null"],
        "properties": {"anchor": {"type": "string", "enum": ["created_at"]}, "seconds": seconds},
        "required": ["anchor", "seconds"],
        "additionalProperties": False,
    }
    texts = {"type": ["object", "null"], "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 512}}
    fields = {
        "input_file_id": {"type": "string"},
        "endpoint": {"type": "string", "enum": sorted(ENDPOINTS)},
        "completion_window": {"type": "string", "pattern": "^[1-9][0-9]{0,2}[hd]$"},
        "metadata": texts,
        "output_expires_after": policy,
    }
    required = ["input_file_id", "endpoint", "completion_window"]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
