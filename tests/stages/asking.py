"""Requests in diffusers' numerics: what stages make of them, and what a pipeline has to be told for the same."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from orrery.stages.denoiser import official_noise
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, WorldRequest, settle
from stages.setting import Stages, run_plan

PROMPT = "A robot arm welds the door of a red car, sparks fly"


def request_of(model: ModelSpec, workflow: Workflow, frames: np.ndarray | None = None, **asked: Any) -> WorldRequest:
    conditioning = None
    if frames is not None:
        conditioning = ArtifactRef(digest=hashlib.sha256(frames.tobytes()).hexdigest(), size=frames.nbytes)
    values = {"prompt": PROMPT, "numerics": "diffusers", **asked}
    return settle(RequestedWorld.model_validate(values), model, workflow, conditioning=conditioning)


def made(
    request: WorldRequest, model: ModelSpec, stages: Stages, frames: np.ndarray | None = None
) -> dict[str, dict[str, Any]]:
    """Outputs of every task by its id."""
    uploads = {request.conditioning.digest: frames} if request.conditioning and frames is not None else {}
    return run_plan(plan(request, model), stages, uploads)


def arguments_of(request: WorldRequest, model: ModelSpec) -> dict[str, Any]:
    """The pipelines' arguments, with the official noise."""
    t, h, w = model.compression.latent_shape(request.num_frames, request.size.height, request.size.width)
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "height": request.size.height,
        "width": request.size.width,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "latents": official_noise(request.seed, (1, 16, t, h, w)),
        "seed": request.seed,
    } | ({} if request.workflow is Workflow.TEXT2IMAGE else {"num_frames": request.num_frames})
