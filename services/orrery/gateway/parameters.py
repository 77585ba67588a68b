"""What may be asked of a model over HTTP: the domain's parameters and those that only requests have."""

from __future__ import annotations

from typing import Any

from orrery.gateway.sniffing import SIGNATURES
from orrery.jobs.records import Priority
from orrery.worlds.catalog.models import ModelSpec, OutputFormat, Workflow
from orrery.worlds.lengths import longest
from orrery.worlds.parameters import parameters_of
from orrery.worlds.schemas import Schema, schema_of
from orrery.worlds.synonyms import SYNONYMS

MIN_RETENTION = 60
MAX_RETENTION = 30 * 24 * 3600
MAX_URL = 2048
"""Characters of a webhook's address."""
RESPONSE_FORMATS = ("b64_json", "url")
PRIORITIES = [priority.value for priority in Priority]


def request_parameters(model: ModelSpec, workflow: Workflow) -> dict[str, Any]:
    """Every field of a request with its default and what is allowed."""
    parameters = parameters_of(model, workflow) | {"priority": {"default": Priority.STANDARD.value, "allowed": PRIORITIES}}
    if workflow is Workflow.TEXT2IMAGE:
        return parameters | {"n": {"default": 1, "allowed": f"1 to {model.max_outputs}"}}
    spec = model.denoiser(workflow)
    parameters["seconds"] = {"instead_of": "num_frames", "allowed": f"1 to {longest(spec) // spec.fps[0]}"}
    parameters["output_format"] = {
        "default": OutputFormat.MP4.value,
        "allowed": [OutputFormat.MP4.value, OutputFormat.MKV.value],
    }
    parameters["expires_after"] = {"allowed": f"{MIN_RETENTION} to {MAX_RETENTION} seconds after the job's end"}
    parameters["webhook_url"] = {"allowed": "an http or https URL"}
    if workflow is Workflow.VIDEO2WORLD:
        parameters["input_reference"] = {"required": True, "allowed": sorted(SIGNATURES)}
    return parameters


def request_schema(model: ModelSpec, workflow: Workflow) -> Schema:
    """A whole body that asks `model` for `workflow`, as JSON Schema: the domain's fields and those that only requests have."""
    schema = schema_of(model, workflow)
    own = _image_fields(model) if workflow is Workflow.TEXT2IMAGE else _video_fields(workflow)
    schema["properties"] |= {"model": {"type": "string", "enum": [model.name]}} | _terms() | own
    if workflow is Workflow.VIDEO2WORLD:
        schema["required"] = [*schema["required"], "input_reference"]
    return schema


def _terms() -> dict[str, Schema]:
    return {
        "priority": {"type": "string", "enum": PRIORITIES, "default": Priority.STANDARD.value},
        "expires_after": {
            "type": "integer",
            "minimum": MIN_RETENTION,
            "maximum": MAX_RETENTION,
            "description": "Seconds that the job is kept after its end.",
        },
    }


def _image_fields(model: ModelSpec) -> dict[str, Schema]:
    return {
        "n": {"type": "integer", "minimum": 1, "maximum": model.max_outputs, "default": 1},
        "response_format": {"type": "string", "enum": list(RESPONSE_FORMATS), "default": RESPONSE_FORMATS[0]},
    }


def _video_fields(workflow: Workflow) -> dict[str, Schema]:
    webhook = {"type": "string", "maxLength": MAX_URL, "description": "An http or https URL that is told of the job's end."}
    if workflow is not Workflow.VIDEO2WORLD:
        return {"webhook_url": webhook}
    described = "An image or clip: a data URL, a file's id, or an object of one. As multipart/form-data it may be a file."
    reference: Schema = {"anyOf": [{"type": "string"}, {"type": "object"}], "description": described}
    return {"webhook_url": webhook, "input_reference": reference | {"x-synonyms": list(SYNONYMS["input_reference"])}}
