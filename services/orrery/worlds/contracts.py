"""What each stage takes and gives: the one source of Triton's config, the client's calls and the tests' fakes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DType(StrEnum):
    """Triton's names of the element types in use."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    INT32 = "INT32"
    INT64 = "INT64"
    FP32 = "FP32"
    FP64 = "FP64"
    STRING = "STRING"


@dataclass(frozen=True)
class Tensor:
    """`dims` as Triton means them: -1 is any length. `told` marks a short text in UTF-8 that stands in the job's record too."""

    name: str
    dtype: DType
    dims: tuple[int, ...]
    optional: bool = False
    told: bool = False


def scalar(name: str, dtype: DType, *, optional: bool = False) -> Tensor:
    return Tensor(name, dtype, (1,), optional)


@dataclass(frozen=True)
class StageContract:
    """`version` is part of every memo key: raise it when the same inputs would give other outputs.
    Where `may_pass`, a response may say that its outputs are not to be remembered.

    `inputs` and `outputs` are artifacts; `parameters` are scalars of the task; `progress` is what a decoupled stage streams
    before its last response. `steering` is what a caller may add about how the work is done: it never changes the outputs and
    is no part of any memo key.
    """

    name: str
    version: int
    inputs: tuple[Tensor, ...] = ()
    parameters: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    progress: tuple[Tensor, ...] = ()
    steering: tuple[Tensor, ...] = ()
    may_pass: bool = False

    @property
    def decoupled(self) -> bool:
        return bool(self.progress)

    @property
    def has_component(self) -> bool:
        return any(p.name == "component" for p in self.parameters)

    @property
    def companions(self) -> tuple[str, ...]:
        """Names of the parameters that name a component beside the stage's own."""
        return tuple(p.name for p in self.parameters if p in COMPANIONS)

    @property
    def resumable(self) -> bool:
        """Whether the stage hands out checkpoints, goes on from one, and yields when asked to."""
        return CHECKPOINT in self.progress

    @property
    def triton_inputs(self) -> tuple[Tensor, ...]:
        """Everything a request may carry; `stream` false asks a decoupled stage for its last response alone."""
        stream = (scalar("stream", DType.BOOL, optional=True),) if self.decoupled else ()
        return self.inputs + self.parameters + self.steering + stream

    @property
    def triton_outputs(self) -> tuple[Tensor, ...]:
        """Everything a response may carry; `stage_seconds` is the time spent inside the stage's own code."""
        notes = (*((YIELDED,) if self.resumable else ()), *((PASSING,) if self.may_pass else ()))
        return self.outputs + self.progress + notes + (STAGE_SECONDS,)


STAGE_SECONDS = scalar("stage_seconds", DType.FP64)
CHECKPOINT = Tensor("checkpoint", DType.UINT8, (-1,), optional=True)  # comes with some progress; opaque but to its stage
PREVIEW = Tensor("preview", DType.UINT8, (-1,), optional=True)  # a small JPEG that comes with some progress
PREVIEW_SIZE = Tensor("preview_size", DType.INT32, (2,), optional=True)  # its width and height
PASSING = scalar("passing", DType.BOOL, optional=True)  # true of outputs that are for this time: not to be remembered
YIELDED = scalar("yielded", DType.BOOL, optional=True)  # true in a last response that has no outputs, as the caller wished
CONTROL = scalar("control", DType.STRING, optional=True)  # name of the caller's shared memory, see `worlds.control`
RESUMING = (
    Tensor("resume_from", DType.UINT8, (-1,), optional=True),  # a `checkpoint` of a request with the same inputs
    CONTROL,
    # A checkpoint comes whenever either has gone by since the last one; 0 or absent: never for this reason.
    scalar("checkpoint_every_steps", DType.INT32, optional=True),
    scalar("checkpoint_every_seconds", DType.FP64, optional=True),
)
# A preview comes with the first step after so many seconds; 0 or absent: never.
PREVIEWING = (scalar("preview_every_seconds", DType.FP64, optional=True),)
COMPONENT = scalar("component", DType.STRING)
PROJECTION = scalar("projection", DType.STRING, optional=True)  # a transformer that brings a projection of the text
LORA = scalar("lora", DType.STRING, optional=True)  # a component that changes the transformer
LORA_SCALE = scalar("lora_scale", DType.FP64, optional=True)  # how much of it; absent, 1
COMPANIONS = (PROJECTION, LORA)
"""Parameters that name a further component, whose fingerprint is part of the memo key as the component's own is."""
FRAMES = Tensor("frames", DType.UINT8, (-1, -1, -1, 3))  # [T, H, W, RGB]
LATENTS = Tensor("latents", DType.FP32, (-1, -1, -1, -1))  # [C, t, h, w], normalised by the tokenizer's mean and std
TEXT_EMBEDDINGS = Tensor("text_embeddings", DType.FP32, (-1, -1))  # [tokens, width], as a transformer takes them

UPSAMPLING = Tensor("upsampling", DType.UINT8, (-1,), optional=True)  # `worlds.upsampling.Upsampling` as JSON
CHOSEN = Tensor("chosen_prompt", DType.UINT8, (-1,), optional=True, told=True)  # UTF-8
CHOICE = Tensor("choice", DType.UINT8, (-1,), optional=True, told=True)  # `worlds.upsampling.Choice` as JSON

GUARDRAIL_TEXT = StageContract(
    name="guardrail_text",
    version=1,
    # With an `upsampling`, that prompt is read too, and it is said which of the two goes on: `CHOSEN` and its `CHOICE`.
    inputs=(UPSAMPLING,),
    parameters=(scalar("prompt", DType.STRING), scalar("negative_prompt", DType.STRING, optional=True)),
    outputs=(scalar("verdict", DType.STRING), CHOSEN, CHOICE),
)
PROMPT_UPSAMPLER = StageContract(
    name="prompt_upsampler",
    version=1,
    # The component is a template of `worlds.upsampling`. Frames that condition the world are shown where it has a picture.
    inputs=(Tensor("frames", DType.UINT8, (-1, -1, -1, 3), optional=True),),
    parameters=(COMPONENT, scalar("prompt", DType.STRING)),
    outputs=(UPSAMPLING,),
    may_pass=True,
)
TEXT_ENCODER = StageContract(
    name="text_encoder",
    version=1,
    # One of the two: a prompt that the client wrote, or one that a task chose.
    inputs=(CHOSEN,),
    parameters=(COMPONENT, scalar("prompt", DType.STRING, optional=True), PROJECTION),
    outputs=(TEXT_EMBEDDINGS,),
)
VIDEO_ENCODER = StageContract(
    name="video_encoder",
    version=1,
    inputs=(FRAMES,),
    parameters=(
        COMPONENT,
        scalar("height", DType.INT32),
        scalar("width", DType.INT32),
        # So many of the frames, counted from the end; absent, all of them.
        scalar("last_frames", DType.INT32, optional=True),
        # Parity with diffusers, which samples the posterior over the padded clip; absent, the mean is taken.
        scalar("posterior_seed", DType.INT64, optional=True),
        scalar("posterior_frames", DType.INT32, optional=True),
    ),
    outputs=(LATENTS,),
)
DENOISER = StageContract(
    name="denoiser",
    version=1,
    inputs=(
        TEXT_EMBEDDINGS,
        Tensor("negative_text_embeddings", DType.FP32, (-1, -1), optional=True),
        Tensor("condition_latents", DType.FP32, (-1, -1, -1, -1), optional=True),
    ),
    parameters=(
        COMPONENT,
        Tensor("latent_shape", DType.INT32, (3,)),  # t, h, w
        scalar("seed", DType.INT64),
        scalar("num_inference_steps", DType.INT32),
        scalar("guidance_scale", DType.FP64),
        scalar("sampler", DType.STRING),
        LORA,
        LORA_SCALE,
        scalar("rope_fps", DType.FP64, optional=True),
        # What conditioning frames are said to be at, where the checkpoint tells them from the others.
        scalar("conditional_timestep", DType.FP64, optional=True),
    ),
    outputs=(LATENTS,),
    progress=(scalar("step", DType.INT32), scalar("num_steps", DType.INT32), CHECKPOINT, PREVIEW, PREVIEW_SIZE),
    steering=RESUMING + PREVIEWING,
)
TRANSFORMER = StageContract(
    name="transformer",
    version=1,
    inputs=(
        Tensor("hidden_states", DType.FP32, (1, -1, -1, -1, -1)),  # [1, C, t, h, w]
        Tensor("timestep", DType.FP32, (-1, -1, -1, -1, -1)),  # [1] or [1, 1, t, 1, 1], carried as five dimensions
        Tensor("encoder_hidden_states", DType.FP32, (1, -1, -1)),
        Tensor("condition_mask", DType.FP32, (1, 1, -1, -1, -1), optional=True),
    ),
    parameters=(COMPONENT, LORA, LORA_SCALE, scalar("rope_fps", DType.FP64, optional=True)),
    outputs=(Tensor("sample", DType.FP32, (1, -1, -1, -1, -1)),),
)
VIDEO_DECODER = StageContract(
    name="video_decoder",
    version=1,
    inputs=(LATENTS,),
    # The first `num_frames` alone; absent, all that the latents stand for.
    parameters=(COMPONENT, scalar("num_frames", DType.INT32, optional=True)),
    outputs=(FRAMES,),
)
PUBLISHER = StageContract(
    name="publisher",
    version=2,
    # `prelude` is `media` of an earlier call: it goes on with the frames, but for the first `overlap`, in which it ends.
    inputs=(FRAMES, Tensor("prelude", DType.UINT8, (-1,), optional=True)),
    parameters=(
        scalar("fps", DType.INT32),
        scalar("output_format", DType.STRING),
        scalar("overlap", DType.INT32, optional=True),
        # Thumbnail and spritesheet show the whole film, with its prelude; false or absent, the frames alone.
        scalar("whole", DType.BOOL, optional=True),
    ),
    outputs=(
        Tensor("media", DType.UINT8, (-1,)),
        Tensor("thumbnail", DType.UINT8, (-1,)),
        Tensor("spritesheet", DType.UINT8, (-1,)),
    ),
)
TEXT2WORLD_REQUEST = StageContract(
    name="text2world_request",
    version=1,
    # The body of a POST to /v1/videos, as JSON: the first step of the ensemble turns it into the tensors of the others.
    parameters=(scalar("request", DType.STRING),),
    outputs=(
        scalar("verdict", DType.STRING),
        scalar("prompt", DType.STRING),
        scalar("negative_prompt", DType.STRING),
        scalar("image_negative_prompt", DType.STRING),
        scalar("text_encoder", DType.STRING),
        scalar("video_tokenizer", DType.STRING),
        scalar("image_transformer", DType.STRING),
        scalar("world_transformer", DType.STRING),
        Tensor("image_latent_shape", DType.INT32, (3,)),
        Tensor("latent_shape", DType.INT32, (3,)),
        scalar("height", DType.INT32),
        scalar("width", DType.INT32),
        scalar("seed", DType.INT64),
        scalar("num_inference_steps", DType.INT32),
        scalar("image_guidance_scale", DType.FP64),
        scalar("guidance_scale", DType.FP64),
        scalar("sampler", DType.STRING),
        scalar("fps", DType.INT32),
        scalar("output_format", DType.STRING),
    ),
)
DENOISER_UNARY = StageContract(
    name="denoiser_unary",
    version=1,
    # The denoiser without its progress: Triton lets no ensemble chain two decoupled models.
    inputs=DENOISER.inputs,
    parameters=DENOISER.parameters,
    outputs=DENOISER.outputs,
)

CONTRACTS: dict[str, StageContract] = {
    c.name: c
    for c in (
        GUARDRAIL_TEXT,
        PROMPT_UPSAMPLER,
        TEXT_ENCODER,
        VIDEO_ENCODER,
        DENOISER,
        TRANSFORMER,
        VIDEO_DECODER,
        PUBLISHER,
        TEXT2WORLD_REQUEST,
        DENOISER_UNARY,
    )
}
ENSEMBLES: dict[str, tuple[str, ...]] = {
    "text2world": (
        TEXT2WORLD_REQUEST.name,
        GUARDRAIL_TEXT.name,
        TEXT_ENCODER.name,
        DENOISER_UNARY.name,
        DENOISER.name,
        VIDEO_DECODER.name,
        VIDEO_ENCODER.name,
        PUBLISHER.name,
    )
}
"""Ensembles by name, with the stages that a server must host to serve them."""
UNPOOLED = (TRANSFORMER.name, TEXT2WORLD_REQUEST.name, DENOISER_UNARY.name)
"""Stages that no task is planned for: an engine that only the denoiser calls, and steps of the ensemble."""
POOLED: tuple[str, ...] = tuple(name for name in CONTRACTS if name not in UNPOOLED)
