"""Cosmos Predict2: 2B and 14B text2image and video2world at 720p and 16 fps, and the tiny checkpoint of the same classes.

Sizes, frame counts, guidance and negative prompts are those of the official scripts (cosmos-predict2, `examples/` and
`cosmos_predict2/datasets/utils.py`). Components of the released models are named here and loaded from folders of these names.
"""

from __future__ import annotations

from orrery.worlds.catalog.models import ChunkSpec, DenoiserSpec, IntRange, ModelSpec, Size
from orrery.worlds.catalog.upsampling import PREDICT2_UPSAMPLING

NEGATIVE_PROMPT = (
    "The video captures a series of frames showing ugly scenes, static with no motion, motion blur, over-saturation, "
    "shaky footage, low resolution, grainy texture, pixelated images, poorly lit areas, underexposed and overexposed "
    "scenes, poor color balance, washed out colors, choppy sequences, jerky movements, low frame rate, artifacting, "
    "color banding, unnatural transitions, outdated special effects, fake elements, unconvincing visuals, poorly edited "
    "content, jump cuts, visual noise, and flickering. Overall, the video is of poor quality."
)


def _sizes(**by_ratio: tuple[int, int]) -> dict[str, Size]:
    """`ratio_16_9=(1280, 704)` becomes `{"16:9": 1280x704}`."""
    return {key.removeprefix("ratio_").replace("_", ":"): Size(width=w, height=h) for key, (w, h) in by_ratio.items()}


IMAGE_SIZES = _sizes(
    ratio_16_9=(1360, 768), ratio_1_1=(1024, 1024), ratio_4_3=(1168, 880), ratio_3_4=(880, 1168), ratio_9_16=(768, 1360)
)
WORLD_SIZES_720 = _sizes(
    ratio_16_9=(1280, 704), ratio_1_1=(960, 960), ratio_4_3=(960, 704), ratio_3_4=(704, 960), ratio_9_16=(704, 1280)
)
TINY_SIZES = _sizes(ratio_16_9=(176, 96), ratio_1_1=(96, 96), ratio_4_3=(128, 96), ratio_3_4=(96, 128), ratio_9_16=(96, 176))


def _image(component: str, resolution: str, sizes: dict[str, Size]) -> DenoiserSpec:
    return DenoiserSpec(
        component=component,
        sizes={resolution: sizes},
        default_resolution=resolution,
        default_guidance_scale=4.0,
        default_negative_prompt="",
    )


def _world(component: str, resolution: str, sizes: dict[str, Size], default_num_frames: int) -> DenoiserSpec:
    return DenoiserSpec(
        component=component,
        sizes={resolution: sizes},
        default_resolution=resolution,
        num_frames=IntRange(minimum=5, maximum=93, step=4),
        default_num_frames=default_num_frames,
        num_conditional_frames=(1, 5),
        default_guidance_scale=7.0,
        default_negative_prompt=NEGATIVE_PROMPT,
        diffusers_rope_fps=16.0,
        chunks=ChunkSpec(),
    )


def _predict2(size: str) -> ModelSpec:
    return ModelSpec(
        name=f"predict2-{size}",
        description=f"Cosmos Predict2 {size.upper()}: text2image, and video2world at 720p, 16 fps",
        text_encoder="t5-11b",
        video_tokenizer="wan2.1-vae",
        image=_image(f"predict2-{size}-text2image", "1024", IMAGE_SIZES),
        world=_world(f"predict2-{size}-video2world-720p16", "720", WORLD_SIZES_720, 93),
        upsampling=PREDICT2_UPSAMPLING,
    )


TINY = ModelSpec(
    name="tiny-predict2",
    description="The classes of Cosmos Predict2 at toy size with random weights: what it makes is noise",
    text_encoder="tiny-t5",
    video_tokenizer="tiny-wan-vae",
    image=_image("tiny-predict2-text2image", "96", TINY_SIZES),
    world=_world("tiny-predict2-video2world", "96", TINY_SIZES, 17),
    upsampling=PREDICT2_UPSAMPLING,
)

MINIATURE_SIZES = _sizes(ratio_1_1=(96, 96))

MINIATURE = ModelSpec(
    name="miniature",
    description="A tiny trained Predict2: one to three coloured shapes that move as the prompt says, 96x96, 33 frames",
    text_encoder="miniature-t5",
    video_tokenizer="miniature-wan-vae",
    image=DenoiserSpec(
        component="miniature-text2image",
        sizes={"96": MINIATURE_SIZES},
        default_resolution="96",
        default_aspect_ratio="1:1",
        default_guidance_scale=1.0,
        default_negative_prompt="",
    ),
    world=DenoiserSpec(
        component="miniature-video2world",
        sizes={"96": MINIATURE_SIZES},
        default_resolution="96",
        default_aspect_ratio="1:1",
        # It was trained on clips of this length alone.
        num_frames=IntRange(minimum=33, maximum=33, step=4),
        default_num_frames=33,
        num_conditional_frames=(1, 5),
        default_guidance_scale=1.0,
        default_negative_prompt="",
        diffusers_rope_fps=16.0,
        chunks=ChunkSpec(),
    ),
)

MODELS = (MINIATURE, TINY, _predict2("2b"), _predict2("14b"))
