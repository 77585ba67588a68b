"""Cosmos Predict2.5: 2B and 14B, each one transformer for worlds from text alone, from an image and from a clip.

Sizes, frame counts, steps, guidance and negative prompt are those of the official script (cosmos-predict2.5, `config.py`).
Which sampler a checkpoint wants follows from how it was trained: the post-trained 2B came from EDM's noise levels and is told
that conditioning frames are almost clean, all others are rectified flows with shift 5 whose frames are all at one level.
"""

from __future__ import annotations

from orrery.worlds.catalog.models import ChunkSpec, DenoiserSpec, FloatRange, IntRange, ModelSpec, Sampler, Size, Workflow
from orrery.worlds.catalog.predict2 import MINIATURE as PREDICT2_MINIATURE
from orrery.worlds.catalog.predict2 import NEGATIVE_PROMPT, TINY_SIZES, WORLD_SIZES_720

CONDITIONAL_TIMESTEP = 1e-4
"""Official 0.1 of 1000 levels."""
KARRAS = (Sampler.UNIPC_KARRAS, Sampler.UNIPC_DIFFUSERS)
SHIFTED = (Sampler.UNIPC_SHIFTED, Sampler.UNIPC_DIFFUSERS)
SIZES_720 = {"720": WORLD_SIZES_720}
CHUNKS = ChunkSpec(sizes=IntRange(minimum=9, maximum=93), default_size=77, seed_step=1)
"""The official autoregressive mode: passes of 93 frames, of which 77 stay."""
GUIDANCE = FloatRange(minimum=0.0, maximum=7.0)
FILES = {
    "predict2.5-2b-base": "base/post-trained/81edfebe-*.pt",
    "predict2.5-2b-base-pretrained": "base/pre-trained/d20b7120-*.pt",
    "predict2.5-2b-base-distilled": "base/distilled/575edf0f-*.pt",
    "predict2.5-14b-base": "base/post-trained/e21d2a49-*.pt",
    "predict2.5-14b-base-pretrained": "base/pre-trained/54937b8c-*.pt",
}
"""By component, where its repository has the released file, as a pattern: its tensors do not tell it from others of a size."""


def _base(
    component: str,
    samplers: tuple[Sampler, ...],
    *,
    conditional_timestep: float | None = None,
    sizes: dict[str, dict[str, Size]] = SIZES_720,
    default_num_frames: int = 77,
) -> DenoiserSpec:
    return DenoiserSpec(
        component=component,
        sizes=sizes,
        default_resolution=next(iter(sizes)),
        num_frames=IntRange(minimum=5, maximum=93, step=4),
        default_num_frames=default_num_frames,
        num_conditional_frames=(1, 5),
        default_guidance_scale=7.0,
        default_negative_prompt=NEGATIVE_PROMPT,
        samplers=samplers,
        diffusers_sampler=Sampler.UNIPC_DIFFUSERS,
        conditional_timestep=conditional_timestep,
        diffusers_samples_posterior=False,
        projects_text=True,
        chunks=CHUNKS,
    )


def _predict25(name: str, size: str, training: str, base: DenoiserSpec) -> ModelSpec:
    return ModelSpec(
        name=name,
        description=f"Cosmos Predict2.5 {size}, {training}: worlds from text, an image or a clip, at 720p, 16 fps",
        text_encoder="cosmos-reason1-7b",
        video_tokenizer="wan2.1-vae",
        text=base,
        world=base,
        guidance_scale=GUIDANCE,
    )


def _distilled() -> ModelSpec:
    """Without guidance, which was distilled with the steps."""
    base = _base("predict2.5-2b-base-distilled", (Sampler.TRIGFLOW,))
    alone = {"diffusers_sampler": Sampler.TRIGFLOW, "default_guidance_scale": 0.0, "default_negative_prompt": ""}
    alone |= {"num_conditional_frames": (), "chunks": None}
    return ModelSpec(
        name="predict2.5-2b-distilled",
        description="Cosmos Predict2.5 2B, distilled to four steps: worlds from text, at 720p, 16 fps",
        text_encoder="cosmos-reason1-7b",
        video_tokenizer="wan2.1-vae",
        text=base.model_copy(update=alone),
        num_inference_steps=IntRange(minimum=1, maximum=4),
        default_num_inference_steps=4,
        guidance_scale=FloatRange(minimum=0.0, maximum=0.0),
    )


TINY_BASE = _base(
    "tiny-predict25-base",
    (*KARRAS, Sampler.UNIPC_SHIFTED, Sampler.TRIGFLOW),
    conditional_timestep=CONDITIONAL_TIMESTEP,
    sizes={"96": TINY_SIZES},
    default_num_frames=17,
)
TINY = ModelSpec(
    name="tiny-predict25",
    description="The classes of Cosmos Predict2.5 at toy size with random weights: what it makes is noise",
    text_encoder="tiny-qwen",
    video_tokenizer="tiny-wan-vae",
    text=TINY_BASE,
    world=TINY_BASE,
    guidance_scale=GUIDANCE,
)

_MINIATURE_BASE = PREDICT2_MINIATURE.denoiser(Workflow.VIDEO2WORLD).model_copy(
    update={
        "component": "miniature-base",
        "samplers": KARRAS,
        "diffusers_sampler": Sampler.UNIPC_DIFFUSERS,
        "diffusers_rope_fps": None,
        "conditional_timestep": CONDITIONAL_TIMESTEP,
        "diffusers_samples_posterior": False,
        "projects_text": True,
        "chunks": ChunkSpec(sizes=IntRange(minimum=9, maximum=33), default_size=33, seed_step=1),
    }
)
MINIATURE = ModelSpec(
    name="miniature-predict25",
    description="A tiny trained Predict2.5: one to three coloured shapes that move as the prompt says, 96x96, 33 frames",
    text_encoder="miniature-qwen",
    video_tokenizer="miniature-wan-vae",
    text=_MINIATURE_BASE,
    world=_MINIATURE_BASE,
    guidance_scale=GUIDANCE,
)

MODELS = (
    MINIATURE,
    TINY,
    _predict25(
        "predict2.5-2b",
        "2B",
        "post-trained",
        _base("predict2.5-2b-base", KARRAS, conditional_timestep=CONDITIONAL_TIMESTEP),
    ),
    _predict25("predict2.5-2b-pretrained", "2B", "pre-trained", _base("predict2.5-2b-base-pretrained", SHIFTED)),
    _distilled(),
    _predict25("predict2.5-14b", "14B", "post-trained", _base("predict2.5-14b-base", SHIFTED)),
    _predict25("predict2.5-14b-pretrained", "14B", "pre-trained", _base("predict2.5-14b-base-pretrained", SHIFTED)),
)
