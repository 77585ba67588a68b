"""A request as the domain means it, and how a model's limits turn what a client sent into one."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt

from orrery.worlds.catalog.models import DenoiserSpec, ModelSpec, OutputFormat, Sampler, Size, Workflow
from orrery.worlds.errors import InvalidField
from orrery.worlds.lengths import settle_length
from orrery.worlds.loras import chosen_lora
from orrery.worlds.plan import ArtifactRef, Frozen

MAX_SEED = 2**32 - 1
"""The largest seed of `numpy.random.RandomState`, which draws the noise."""


Choice = TypeVar("Choice", bound=StrEnum)


class Numerics(StrEnum):
    """Whose numbers to reproduce: the official scripts', or those of the diffusers pipelines where the two differ."""

    OFFICIAL = "official"
    DIFFUSERS = "diffusers"


class RequestedWorld(BaseModel):
    """What a client may ask for; None means the model's default. Checked only for types, see `settle` for ranges."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    negative_prompt: str | None = None
    size: str | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    num_frames: StrictInt | None = None
    seconds: StrictInt | None = None
    num_chunks: StrictInt | None = None
    chunk_size: StrictInt | None = None
    chunk_overlap: StrictInt | None = None
    fps: StrictInt | None = None
    num_conditional_frames: StrictInt | None = None
    num_inference_steps: StrictInt | None = None
    guidance_scale: float | None = None
    seed: StrictInt = 0
    sampler: str | None = None
    numerics: str = Numerics.OFFICIAL.value
    output_format: str | None = None
    prompt_upsampling: StrictBool | None = None
    lora: str | None = None
    lora_scale: float | None = None


class WorldRequest(Frozen):
    """A settled request: every value known and within the model's limits. Units: pixels, frames, frames per second.

    `lengths.Length` says how a film in chunks is meant.
    """

    workflow: Workflow
    prompt: str
    negative_prompt: str
    size: Size
    num_frames: int
    fps: int
    num_conditional_frames: int
    num_inference_steps: int
    guidance_scale: float
    seed: int
    sampler: Sampler
    numerics: Numerics
    output_format: OutputFormat
    prompt_upsampling: bool = False
    num_chunks: int = 1
    chunk_size: int | None = None
    chunk_overlap: int = 0
    lora: str | None = None
    lora_scale: float | None = None
    conditioning: ArtifactRef | None = None
    """Frames [T, H, W, 3] that condition a video2world job, at the size they were uploaded in."""
    prelude: ArtifactRef | None = None
    """The film that the world goes on from: it ends in the conditioning frames, and is published before the new ones."""

    @property
    def film_frames(self) -> int:
        """How many frames are made, without those that two chunks share."""
        if self.chunk_size is not None:
            return self.num_frames
        return self.num_frames + (self.num_chunks - 1) * (self.num_frames - self.chunk_overlap)


def asked_again(request: WorldRequest) -> RequestedWorld:
    """What would be settled to the same request."""
    excluded = {"workflow", "size", "conditioning", "prelude"}
    if request.chunk_size is not None:
        excluded.add("num_chunks")  # follows from the others
    if request.num_chunks == 1:
        excluded.add("chunk_overlap")
    values = request.model_dump(mode="json", exclude=excluded)
    return RequestedWorld.model_validate(values | {"size": str(request.size)})


def settle(
    asked: RequestedWorld, model: ModelSpec, workflow: Workflow, *, conditioning: ArtifactRef | None = None
) -> WorldRequest:
    """Fills in defaults and checks every range. Raises `InvalidField` naming the field and what is allowed."""
    if workflow not in model.workflows:
        raise InvalidField(f"{model.name} does not serve {workflow}", field="model", allowed=[str(w) for w in model.workflows])
    spec = model.denoiser(workflow)
    numerics = _choice("numerics", asked.numerics, Numerics)
    fps = _fps(asked, spec)
    length = settle_length(asked, spec, fps)
    lora, lora_scale = chosen_lora(asked.lora, asked.lora_scale, model)
    return WorldRequest(
        workflow=workflow,
        prompt=_text("prompt", asked.prompt, model, empty_allowed=False),
        negative_prompt=_negative_prompt(asked, model, spec),
        size=_size(asked, spec),
        fps=fps,
        num_conditional_frames=_num_conditional_frames(asked, model, workflow),
        num_inference_steps=_steps(asked, model),
        guidance_scale=_guidance_scale(asked, model, spec),
        seed=_seed(asked.seed, 0 if spec.chunks is None else spec.chunks.seed_step * (length.num_chunks - 1)),
        sampler=_sampler(asked, spec, numerics),
        numerics=numerics,
        output_format=_output_format(asked, workflow),
        prompt_upsampling=_prompt_upsampling(asked, model, workflow),
        **asdict(length),
        lora=lora,
        lora_scale=lora_scale,
        conditioning=conditioning,
    )


def _text(field: str, text: str, model: ModelSpec, *, empty_allowed: bool) -> str:
    words = len(text.split())
    allowed = f"{0 if empty_allowed else 1} to {model.max_prompt_words - 1} words"
    if (words == 0 and not empty_allowed) or words >= model.max_prompt_words:
        raise InvalidField(f"{field} has {words} words", field=field, allowed=allowed)
    if "\x00" in text:
        raise InvalidField(f"{field} contains a NUL character", field=field, allowed="text without NUL characters")
    return text


def _negative_prompt(asked: RequestedWorld, model: ModelSpec, spec: DenoiserSpec) -> str:
    if asked.negative_prompt is None:
        return spec.default_negative_prompt
    return _text("negative_prompt", asked.negative_prompt, model, empty_allowed=True)


def _size(asked: RequestedWorld, spec: DenoiserSpec) -> Size:
    if asked.size is None:
        return _size_by_ratio(asked, spec)
    found = next((size for size in spec.all_sizes if str(size) == asked.size), None)
    if found is None:
        raise InvalidField(f"size {asked.size} is not offered", field="size", allowed=[str(s) for s in spec.all_sizes])
    listed_under = spec.aspect_ratio_of(found)
    for field, given, meant in zip(
        ("resolution", "aspect_ratio"), (asked.resolution, asked.aspect_ratio), listed_under or (), strict=True
    ):
        if given is not None and given != meant:
            raise InvalidField(f"{field} {given} contradicts size {asked.size}", field=field, allowed=[meant])
    return found


def _size_by_ratio(asked: RequestedWorld, spec: DenoiserSpec) -> Size:
    resolution = spec.default_resolution if asked.resolution is None else asked.resolution
    if resolution not in spec.sizes:
        raise InvalidField(f"resolution {resolution} is not offered", field="resolution", allowed=sorted(spec.sizes))
    ratio = spec.default_aspect_ratio if asked.aspect_ratio is None else asked.aspect_ratio
    if ratio not in spec.sizes[resolution]:
        raise InvalidField(f"aspect_ratio {ratio} is not offered", field="aspect_ratio", allowed=sorted(spec.sizes[resolution]))
    return spec.sizes[resolution][ratio]


def _fps(asked: RequestedWorld, spec: DenoiserSpec) -> int:
    fps = spec.fps[0] if asked.fps is None else asked.fps
    if fps not in spec.fps:
        raise InvalidField(f"fps {fps} is not offered", field="fps", allowed=list(spec.fps))
    return fps


def _num_conditional_frames(asked: RequestedWorld, model: ModelSpec, workflow: Workflow) -> int:
    allowed = conditioning_frames(model, workflow)
    frames = allowed[0] if asked.num_conditional_frames is None else asked.num_conditional_frames
    if frames not in allowed:
        message = f"num_conditional_frames {frames} is not offered for {workflow}"
        raise InvalidField(message, field="num_conditional_frames", allowed=list(allowed))
    return frames


def conditioning_frames(model: ModelSpec, workflow: Workflow) -> tuple[int, ...]:
    """Only video2world takes a clip; a world from text is conditioned on the one image made before it, or on nothing."""
    if workflow is Workflow.VIDEO2WORLD:
        return model.denoiser(workflow).num_conditional_frames
    return (0,) if workflow is Workflow.TEXT2WORLD and model.text is not None else (1,)


def _sampler(asked: RequestedWorld, spec: DenoiserSpec, numerics: Numerics) -> Sampler:
    if asked.sampler is None:
        return spec.diffusers_sampler if numerics is Numerics.DIFFUSERS else spec.samplers[0]
    if asked.sampler not in spec.samplers:
        allowed = [str(one) for one in spec.samplers]
        raise InvalidField(f"sampler {asked.sampler!r} is not offered", field="sampler", allowed=allowed)
    return Sampler(asked.sampler)


def _steps(asked: RequestedWorld, model: ModelSpec) -> int:
    steps = model.default_num_inference_steps if asked.num_inference_steps is None else asked.num_inference_steps
    if steps not in model.num_inference_steps:
        raise InvalidField(
            f"num_inference_steps {steps} is out of range",
            field="num_inference_steps",
            allowed=str(model.num_inference_steps),
        )
    return steps


def _guidance_scale(asked: RequestedWorld, model: ModelSpec, spec: DenoiserSpec) -> float:
    scale = spec.default_guidance_scale if asked.guidance_scale is None else asked.guidance_scale
    if scale not in model.guidance_scale:  # NaN is in no range
        raise InvalidField(f"guidance_scale {scale} is out of range", field="guidance_scale", allowed=str(model.guidance_scale))
    return scale


def _seed(seed: int, added: int) -> int:
    """`added` is what the seed of the last chunk is larger by."""
    if not 0 <= seed <= MAX_SEED - added:
        raise InvalidField(f"seed {seed} is out of range", field="seed", allowed=f"0 to {MAX_SEED - added}")
    return seed


def _choice(field: str, value: str, options: type[Choice]) -> Choice:
    try:
        return options(value)
    except ValueError:
        raise InvalidField(f"{field} {value!r} is not known", field=field, allowed=[str(o) for o in options]) from None


def output_formats(workflow: Workflow) -> tuple[OutputFormat, ...]:
    """What the workflow may be published as, the default first."""
    return (OutputFormat.PNG,) if workflow is Workflow.TEXT2IMAGE else (OutputFormat.MP4, OutputFormat.MKV)


def _output_format(asked: RequestedWorld, workflow: Workflow) -> OutputFormat:
    formats = output_formats(workflow)
    wanted = formats[0].value if asked.output_format is None else asked.output_format
    if wanted not in formats:
        allowed = [str(known) for known in formats]
        raise InvalidField(f"{workflow} is not published as {wanted}", field="output_format", allowed=allowed)
    return OutputFormat(wanted)


def _prompt_upsampling(asked: RequestedWorld, model: ModelSpec, workflow: Workflow) -> bool:
    usual, allowed = upsampling_choices(model, workflow)
    wanted = usual if asked.prompt_upsampling is None else asked.prompt_upsampling
    if wanted not in allowed:
        message = f"nothing that is served rewrites prompts of {model.name} for {workflow}"
        raise InvalidField(message, field="prompt_upsampling", allowed=list(allowed))
    return wanted


def upsampling_choices(model: ModelSpec, workflow: Workflow) -> tuple[bool, tuple[bool, ...]]:
    """Whether a prompt is rewritten if nothing is said of it, and what may be said."""
    able = workflow in model.upsampling
    return able and model.upsampled_unasked, (False, True) if able else (False,)
