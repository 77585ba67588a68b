"""Cosmos Predict1: 7B and 14B, worlds from text alone and from 1 or 9 frames, and the tiny checkpoint of the same classes.

Sizes, frame counts, guidance, steps and negative prompts are those of the official scripts (cosmos-predict1,
`cosmos_predict1/diffusion/inference`): 121 frames of 1280x704 at 24 frames per second, and no other.
"""

from __future__ import annotations

from orrery.worlds.catalog.models import Compression, DenoiserSpec, IntRange, ModelSpec, Sampler, Size
from orrery.worlds.catalog.predict2 import NEGATIVE_PROMPT, TINY_SIZES
from orrery.worlds.catalog.upsampling import PREDICT1_UPSAMPLING

COMPRESSION = Compression(temporal=8, spatial=8, channels=16)
SIZES = {"720": {"16:9": Size(width=1280, height=704)}}
FRAMES = IntRange(minimum=121, maximum=121, step=8)
TINY_FRAMES = IntRange(minimum=17, maximum=33, step=8)


def _denoiser(component: str, sizes: dict[str, dict[str, Size]], num_frames: IntRange) -> DenoiserSpec:
    return DenoiserSpec(
        component=component,
        sizes=sizes,
        default_resolution=next(iter(sizes)),
        num_frames=num_frames,
        default_num_frames=num_frames.minimum,
        fps=(24,),
        default_guidance_scale=7.0,
        default_negative_prompt=NEGATIVE_PROMPT,
        samplers=(Sampler.EDM_EULER, Sampler.EDM_EULER_DIFFUSERS),
        diffusers_sampler=Sampler.EDM_EULER_DIFFUSERS,
        rope_fps=24.0,
        diffusers_rope_fps=30.0,
    )


def _model(
    name: str, description: str, components: tuple[str, str], sizes: dict[str, dict[str, Size]], num_frames: IntRange
) -> ModelSpec:
    """`components` are text encoder and video tokenizer."""
    text_encoder, video_tokenizer = components
    world = _denoiser(f"{name}-video2world", sizes, num_frames)
    return ModelSpec(
        name=name,
        description=description,
        text_encoder=text_encoder,
        video_tokenizer=video_tokenizer,
        compression=COMPRESSION,
        text=_denoiser(f"{name}-text2world", sizes, num_frames),
        world=world.model_copy(update={"num_conditional_frames": (1, 9)}),
        upsampling=PREDICT1_UPSAMPLING,
    )


def _predict1(size: str) -> ModelSpec:
    description = f"Cosmos Predict1 {size.upper()}: text2world and video2world, 121 frames of 1280x704 at 24 fps"
    return _model(f"predict1-{size}", description, ("t5-11b", "cv8x8x8-vae"), SIZES, FRAMES)


TINY = _model(
    "tiny-predict1",
    "The classes of Cosmos Predict1 at toy size with random weights: what it makes is noise",
    ("tiny-t5", "tiny-cosmos-vae"),
    {"96": TINY_SIZES},
    TINY_FRAMES,
)

MODELS = (TINY, _predict1("7b"), _predict1("14b"))
