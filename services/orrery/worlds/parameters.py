"""What may be asked of a model, in words: the ranges that `settle` holds a request to, for people."""

from __future__ import annotations

from typing import Any

from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.lengths import chunk_parameters, num_frames_allowed
from orrery.worlds.loras import lora_parameters
from orrery.worlds.requests import MAX_SEED, Numerics, conditioning_frames, upsampling_choices


def parameters_of(model: ModelSpec, workflow: Workflow) -> dict[str, Any]:
    """Every parameter of a workflow with its default and what is allowed: what `/v1/models` tells."""
    spec, conditional = model.denoiser(workflow), conditioning_frames(model, workflow)
    usual, allowed = upsampling_choices(model, workflow)
    return {
        "prompt": {"required": True, "allowed": f"1 to {model.max_prompt_words - 1} words"},
        "negative_prompt": {"default": spec.default_negative_prompt},
        "size": {
            "default": str(spec.sizes[spec.default_resolution][spec.default_aspect_ratio]),
            "allowed": [str(s) for s in spec.all_sizes],
        },
        "resolution": {"default": spec.default_resolution, "allowed": sorted(spec.sizes)},
        "aspect_ratio": {
            "default": spec.default_aspect_ratio,
            "allowed": sorted({r for t in spec.sizes.values() for r in t}),
        },
        "num_frames": {"default": spec.default_num_frames, "allowed": num_frames_allowed(spec)},
        "fps": {"default": spec.fps[0], "allowed": list(spec.fps)},
        "num_conditional_frames": {"default": conditional[0], "allowed": list(conditional)},
        "num_inference_steps": {
            "default": model.default_num_inference_steps,
            "allowed": str(model.num_inference_steps),
        },
        "guidance_scale": {"default": spec.default_guidance_scale, "allowed": str(model.guidance_scale)},
        "seed": {"default": 0, "allowed": f"0 to {MAX_SEED}"},
        "sampler": {"default": str(spec.samplers[0]), "allowed": [str(s) for s in spec.samplers]},
        "numerics": {"default": str(Numerics.OFFICIAL), "allowed": [str(n) for n in Numerics]},
        "prompt_upsampling": {"default": usual, "allowed": list(allowed)},
        **chunk_parameters(spec),
        **lora_parameters(model),
    }
