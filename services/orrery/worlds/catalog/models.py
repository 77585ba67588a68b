"""What the catalog can say about a model: its workflows, the components each needs, its limits and defaults."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from orrery.worlds.plan import Frozen


class Workflow(StrEnum):
    TEXT2IMAGE = "text2image"
    TEXT2WORLD = "text2world"
    VIDEO2WORLD = "video2world"


class Sampler(StrEnum):
    RES_2AB = "res_2ab"
    EULER = "euler"
    RENOISE = "renoise"
    EDM_EULER = "edm_euler"
    EDM_EULER_DIFFUSERS = "edm_euler_diffusers"
    UNIPC_KARRAS = "unipc_karras"
    UNIPC_SHIFTED = "unipc_shifted"
    UNIPC_DIFFUSERS = "unipc_diffusers"
    TRIGFLOW = "trigflow"


class OutputFormat(StrEnum):
    MP4 = "mp4"
    MKV = "mkv"
    PNG = "png"


MEDIA_TYPES: dict[OutputFormat, str] = {
    OutputFormat.MP4: "video/mp4",
    OutputFormat.MKV: "video/x-matroska",
    OutputFormat.PNG: "image/png",
}


class Compression(Frozen):
    """How many pixels one latent stands for along each axis; the first frame has a latent of its own."""

    temporal: int = 4
    spatial: int = 8
    channels: int = 16

    def latent_shape(self, num_frames: int, height: int, width: int) -> tuple[int, int, int]:
        """(t, h, w) of the latents of `num_frames` frames of `height` x `width` pixels."""
        return (num_frames - 1) // self.temporal + 1, height // self.spatial, width // self.spatial


class Size(Frozen):
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class IntRange(Frozen):
    """Inclusive; only values `minimum + k * step` are meant."""

    minimum: int
    maximum: int
    step: int = 1

    def __contains__(self, value: int) -> bool:
        return self.minimum <= value <= self.maximum and (value - self.minimum) % self.step == 0

    def __str__(self) -> str:
        by = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.minimum} to {self.maximum}{by}"


class FloatRange(Frozen):
    minimum: float
    maximum: float

    def __contains__(self, value: float) -> bool:
        return self.minimum <= value <= self.maximum

    def __str__(self) -> str:
        return f"{self.minimum:g} to {self.maximum:g}"


class UpsamplingSpec(Frozen):
    """With which of `worlds.upsampling.TEMPLATES` a workflow's prompts are rewritten, if that is asked for.

    A prompt of `leave_from_words` words or more is left alone.
    """

    template: str
    leave_from_words: int | None = None


class ChunkSpec(Frozen):
    """How films longer than one pass are made: pass after pass, each from the last frames of the one before it.

    Without `sizes` a request counts passes of `num_frames` (Predict2's `num_chunks`). With it `num_frames` is of the film, and
    each pass makes as many as the network can and gives the first `chunk_size` of them, one of `sizes` (Predict2.5). `overlaps`
    are how many frames two passes may share, the default first. `seed_step` is added to the seed from pass to pass.
    """

    maximum: int = 24
    overlaps: tuple[int, ...] = (1, 5)
    sizes: IntRange | None = None
    default_size: int = 0
    seed_step: int = 0

    @property
    def longest(self) -> int:
        """Frames of the longest film that is made in chunks of the default size and overlap."""
        return self.default_size + (self.maximum - 1) * (self.default_size - self.overlaps[0])


class DenoiserSpec(Frozen):
    """One transformer with what its sampling needs. `sizes` is by resolution tier, then aspect ratio.

    The first of `samplers` is the official one; `diffusers_sampler` is that of the pipeline in diffusers. `rope_fps` is the
    frame rate that official code feeds to the rotary embedding, `diffusers_rope_fps` what the pipeline feeds; None is none.
    `conditional_timestep` is what conditioning frames are said to be at, for checkpoints that tell them from the others.
    `diffusers_samples_posterior` says whether the pipeline draws conditioning latents rather than taking their mean.
    `projects_text` is of a transformer that brings a projection for the text encoder's output.
    `chunks` is how films of several passes are made, None if they are not. `neighbourhoods` names the table of
    `worlds.neighbourhoods` that the network was trained with; None is a network in which all attends to all.
    """

    component: str
    sizes: dict[str, dict[str, Size]]
    default_resolution: str
    default_aspect_ratio: str = "16:9"
    num_frames: IntRange = IntRange(minimum=1, maximum=1)
    default_num_frames: int = 1
    fps: tuple[int, ...] = (16,)
    num_conditional_frames: tuple[int, ...] = ()
    default_guidance_scale: float
    default_negative_prompt: str
    samplers: tuple[Sampler, ...] = (Sampler.RES_2AB, Sampler.EULER)
    diffusers_sampler: Sampler = Sampler.EULER
    rope_fps: float | None = None
    diffusers_rope_fps: float | None = None
    conditional_timestep: float | None = None
    diffusers_samples_posterior: bool = True
    projects_text: bool = False
    chunks: ChunkSpec | None = None
    neighbourhoods: str | None = None

    @property
    def all_sizes(self) -> tuple[Size, ...]:
        return tuple(size for tier in self.sizes.values() for size in tier.values())

    def aspect_ratio_of(self, size: Size) -> tuple[str, str] | None:
        """The (resolution, aspect ratio) under which a size is listed."""
        return next(((tier, a) for tier, sizes in self.sizes.items() for a, s in sizes.items() if s == size), None)


class ModelSpec(Frozen):
    """A served model.

    Text2world is made by `text` where a model has such a denoiser; else `image` makes an image and `world` a world from it, as
    the official script of Predict2 does. Prompts of the workflows in `upsampling` can be rewritten; `upsampled_unasked` says
    that they are unless the request says otherwise, which is for whoever serves the model to choose.
    """

    name: str
    description: str
    text_encoder: str
    video_tokenizer: str
    compression: Compression = Compression()
    image: DenoiserSpec | None = None
    world: DenoiserSpec | None = None
    text: DenoiserSpec | None = None
    num_inference_steps: IntRange = IntRange(minimum=1, maximum=100)
    default_num_inference_steps: int = 35
    guidance_scale: FloatRange = FloatRange(minimum=0.0, maximum=20.0)
    max_prompt_words: int = 300
    upsampling: dict[Workflow, UpsamplingSpec] = Field(default_factory=dict)
    upsampled_unasked: bool = False
    max_outputs: int = 4
    loras: tuple[str, ...] = ()
    lora_scale: FloatRange = FloatRange(minimum=0.0, maximum=2.0)

    @property
    def workflows(self) -> tuple[Workflow, ...]:
        able = {
            Workflow.TEXT2IMAGE: self.image is not None,
            Workflow.TEXT2WORLD: self.text is not None or (self.image is not None and self.world is not None),
            Workflow.VIDEO2WORLD: self.world is not None,
        }
        return tuple(workflow for workflow, possible in able.items() if possible)

    def denoiser(self, workflow: Workflow) -> DenoiserSpec:
        """The transformer whose sizes, frames and defaults the workflow's request is held to."""
        by_workflow = {
            Workflow.TEXT2IMAGE: self.image,
            Workflow.TEXT2WORLD: self.text or self.world,
            Workflow.VIDEO2WORLD: self.world,
        }
        spec = by_workflow[workflow]
        if spec is None:
            raise LookupError(f"{self.name} does not serve {workflow}")
        return spec

    @property
    def denoisers(self) -> tuple[DenoiserSpec, ...]:
        return tuple(spec for spec in (self.image, self.world, self.text) if spec is not None)

    @property
    def components(self) -> tuple[str, ...]:
        transformers = [spec.component for spec in self.denoisers]
        return tuple(dict.fromkeys((self.text_encoder, self.video_tokenizer, *transformers)))

    @property
    def text_projection(self) -> str | None:
        """The transformer whose projection the text stage applies; None where text goes as the encoder gives it."""
        return next((spec.component for spec in self.denoisers if spec.projects_text), None)
