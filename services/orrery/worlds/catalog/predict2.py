"""Cosmos Predict2: every released text2image and video2world, and the tiny checkpoint of the same classes.

Sizes, frame counts, guidance and negative prompts are those of the official scripts (cosmos-predict2, `examples/` and
`cosmos_predict2/datasets/utils.py`). Components of the released models are named here and loaded from folders of these names.
"""

from __future__ import annotations

from orrery.worlds.catalog.models import ChunkSpec, DenoiserSpec, FloatRange, IntRange, ModelSpec, Sampler, Size
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
WORLD_SIZES_480 = _sizes(
    ratio_16_9=(768, 432), ratio_1_1=(480, 480), ratio_4_3=(640, 480), ratio_3_4=(480, 640), ratio_9_16=(432, 768)
)
WORLD_SIZES = {"480": WORLD_SIZES_480, "720": WORLD_SIZES_720}
WIDE_720 = {"16:9": WORLD_SIZES_720["16:9"]}
"""What the networks with neighbourhoods were trained at."""
NUM_FRAMES = {16: 93, 10: 61}
"""Of one pass, about six seconds, by frames per second: each has a checkpoint of its own."""
WORLD_FILES = {
    f"{resolution}p{fps}{sparse}": f"model-{resolution}p-{fps}fps{sparse}.pt"
    for resolution, sparse in (("480", ""), ("720", ""), ("720", "-natten"))
    for fps in (10, 16)
}
"""Video2world by the end of the component's name: what the released file of each size is called."""
IMAGE_FILES = {"": "model.pt", "-distilled": "*distilled*.pt"}
FILES = {f"predict2-{size}-video2world-{end}": file for size in ("2b", "14b") for end, file in WORLD_FILES.items()} | {
    f"predict2-{size}-text2image{end}": file for size in ("0.6b", "2b", "14b") for end, file in IMAGE_FILES.items()
}
"""By component, what the released file is called, as a pattern: its tensors do not tell it from others."""
TINY_SIZES = _sizes(ratio_16_9=(176, 96), ratio_1_1=(96, 96), ratio_4_3=(128, 96), ratio_3_4=(96, 128), ratio_9_16=(96, 176))


def _image(component: str, resolution: str, sizes: dict[str, Size]) -> DenoiserSpec:
    return DenoiserSpec(
        component=component,
        sizes={resolution: sizes},
        default_resolution=resolution,
        default_guidance_scale=4.0,
        default_negative_prompt="",
    )


def _world(component: str, resolution: str, sizes: dict[str, Size], default_num_frames: int, fps: int = 16) -> DenoiserSpec:
    return DenoiserSpec(
        component=component,
        sizes={resolution: sizes},
        default_resolution=resolution,
        num_frames=IntRange(minimum=5, maximum=NUM_FRAMES[fps], step=4),
        default_num_frames=default_num_frames,
        fps=(fps,),
        num_conditional_frames=(1, 5),
        default_guidance_scale=7.0,
        default_negative_prompt=NEGATIVE_PROMPT,
        diffusers_rope_fps=float(fps),
        chunks=ChunkSpec(),
    )


def _predict2(size: str, world: DenoiserSpec, name: str, told: str) -> ModelSpec:
    """The text2image network of the size beside one of its video2world networks."""
    return ModelSpec(
        name=name,
        description=f"Cosmos Predict2 {size.upper()}: text2image, and video2world at {told}",
        text_encoder="t5-11b",
        video_tokenizer="wan2.1-vae",
        image=_image(f"predict2-{size}-text2image", "1024", IMAGE_SIZES),
        world=world,
        upsampling=PREDICT2_UPSAMPLING,
    )


def _released_world(size: str, resolution: str, fps: int) -> DenoiserSpec:
    component = f"predict2-{size}-video2world-{resolution}p{fps}"
    return _world(component, resolution, WORLD_SIZES[resolution], NUM_FRAMES[fps], fps)


def _dense(size: str, resolution: str, fps: int) -> ModelSpec:
    """The size's own name is that of the official script's default, 720p at 16 frames per second."""
    usual = (resolution, fps) == ("720", 16)
    name = f"predict2-{size}" if usual else f"predict2-{size}-{resolution}p-{fps}fps"
    return _predict2(size, _released_world(size, resolution, fps), name, f"{resolution}p, {fps} fps")


def _sparse(size: str, fps: int) -> ModelSpec:
    """Attention within neighbourhoods: official `--natten`."""
    dense = _released_world(size, "720", fps)
    own = {"component": f"{dense.component}-natten", "sizes": {"720": WIDE_720}, "neighbourhoods": f"predict2-{size}"}
    told = f"720p 16:9, {fps} fps, with neighbourhood attention"
    return _predict2(size, dense.model_copy(update=own), f"predict2-{size}-720p-{fps}fps-natten", told)


def _pictures(size: str) -> ModelSpec:
    return ModelSpec(
        name=f"predict2-{size}",
        description=f"Cosmos Predict2 {size.upper()}: text2image, with the tokenizer of the larger models",
        text_encoder="t5-11b",
        video_tokenizer="wan2.1-vae",
        image=_image(f"predict2-{size}-text2image", "1024", IMAGE_SIZES),
    )


def _distilled(image: DenoiserSpec, name: str, text_encoder: str, video_tokenizer: str, description: str) -> ModelSpec:
    """Four steps at most, and no guidance, which was distilled with them."""
    alone = {"samplers": (Sampler.RENOISE,), "diffusers_sampler": Sampler.RENOISE, "default_guidance_scale": 0.0}
    return ModelSpec(
        name=name,
        description=description,
        text_encoder=text_encoder,
        video_tokenizer=video_tokenizer,
        image=image.model_copy(update=alone),
        num_inference_steps=IntRange(minimum=1, maximum=4),
        default_num_inference_steps=4,
        guidance_scale=FloatRange(minimum=0.0, maximum=0.0),
    )


def _released_distilled(size: str) -> ModelSpec:
    return _distilled(
        _image(f"predict2-{size}-text2image-distilled", "1024", IMAGE_SIZES),
        f"predict2-{size}-distilled",
        "t5-11b",
        "wan2.1-vae",
        f"Cosmos Predict2 {size.upper()}: text2image, distilled to four steps",
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
        # 2 is no better in 35 steps of RES-2AB and worse in fewer; 1 is the reverse: README, "Whether a prompt comes true".
        default_guidance_scale=1.5,
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

TINY_DISTILLED = _distilled(
    _image("tiny-predict2-text2image", "96", TINY_SIZES),
    "tiny-predict2-distilled",
    "tiny-t5",
    "tiny-wan-vae",
    "The tiny Predict2's images by the sampler of the distilled ones: what it makes is noise",
)

_TINY_WORLD = _world("tiny-predict2-video2world-natten", "96", {"16:9": TINY_SIZES["16:9"]}, 17)
TINY_NATTEN = ModelSpec(
    name="tiny-predict2-natten",
    description="The tiny Predict2's worlds with neighbourhood attention: what it makes is noise",
    text_encoder="tiny-t5",
    video_tokenizer="tiny-wan-vae",
    world=_TINY_WORLD.model_copy(update={"neighbourhoods": "tiny"}),
)

MODELS = (
    MINIATURE,
    TINY,
    TINY_DISTILLED,
    TINY_NATTEN,
    _pictures("0.6b"),
    *(_dense(size, resolution, fps) for size in ("2b", "14b") for resolution in ("720", "480") for fps in (16, 10)),
    *(_sparse(size, fps) for size in ("2b", "14b") for fps in (16, 10)),
    *(_released_distilled(size) for size in ("0.6b", "2b", "14b")),
)
