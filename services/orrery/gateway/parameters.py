"""What may be asked of a model over HTTP: the domain's parameters and those that only requests have."""

from __future__ import annotations

from typing import Any

from orrery.gateway.sniffing import SIGNATURES
from orrery.jobs.records import Priority
from orrery.worlds.catalog.models import ModelSpec, OutputFormat, Workflow
from orrery.worlds.requests import parameters_of

MIN_RETENTION = 60
MAX_RETENTION = 30 * 24 * 3600
PRIORITIES = [priority.value for priority in Priority]


def request_parameters(model: ModelSpec, workflow: Workflow) -> dict[str, Any]:
    """Every field of a request with its default and what is allowed."""
    parameters = parameters_of(model, workflow) | {"priority": {"default": Priority.STANDARD.value, "allowed": PRIORITIES}}
    if workflow is Workflow.TEXT2IMAGE:
        return parameters | {"n": {"default": 1, "allowed": f"1 to {model.max_outputs}"}}
    spec = model.denoiser(workflow)
    parameters["seconds"] = {"instead_of": "num_frames", "allowed": f"1 to {spec.num_frames.maximum // spec.fps[0]}"}
    parameters["output_format"] = {
        "default": OutputFormat.MP4.value,
        "allowed": [OutputFormat.MP4.value, OutputFormat.MKV.value],
    }
    parameters["expires_after"] = {"allowed": f"{MIN_RETENTION} to {MAX_RETENTION} seconds after the job's end"}
    parameters["webhook_url"] = {"allowed": "an http or https URL"}
    if workflow is Workflow.VIDEO2WORLD:
        parameters["input_reference"] = {"required": True, "allowed": sorted(SIGNATURES)}
    return parameters
