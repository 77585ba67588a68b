"""`plan`: from a settled request to a graph of tasks. Pure; nothing after it knows what a workflow is."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from orrery.worlds.catalog.models import DenoiserSpec, ModelSpec, Size, Workflow
from orrery.worlds.films import film_tasks
from orrery.worlds.passes import passes
from orrery.worlds.plan import Parameters, Plan, Source, Task, TaskOutput
from orrery.worlds.requests import Numerics, WorldRequest
from orrery.worlds.upsampling.planning import CHOSEN_PROMPT, GUARD_UPSAMPLED, template_of, upsampling_tasks

_shared = lru_cache(1024, typed=True)
"""For tasks that the plans of many jobs have in common: whatever is theirs alone, above all the prompt, is in no such task."""

RESULT = {name: TaskOutput(task="publish", output=name) for name in ("media", "thumbnail", "spritesheet")}


def plan(request: WorldRequest, model: ModelSpec) -> Plan:
    """The tasks of `request`. Every task that spends a device waits for the guardrail of the prompt that it is done for."""
    first = (_guard(request), *WORKFLOWS[request.workflow](request, model))
    return Plan(tasks=(*first, *film_tasks(first, request, model)), result=RESULT)


def _text2image(request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    spec = model.denoiser(Workflow.TEXT2IMAGE)
    return (
        *_texts(request, model),
        _denoise(request, model, spec, guidance_scale=request.guidance_scale, num_frames=1),
        _decode(model.video_tokenizer),
    )


def _video2world(request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    if request.conditioning is None:
        raise ValueError("video2world needs conditioning frames")
    return (
        *_texts(request, model, request.conditioning),
        _encode_video(request, model, request.conditioning),
        _denoise_world(request, model),
        _decode_film(request, model),
    )


def _text2world(request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    return _image2world(request, model) if model.text is None else _text_alone(request, model, model.text)


def _text_alone(request: WorldRequest, model: ModelSpec, spec: DenoiserSpec) -> tuple[Task, ...]:
    """A world from noise, conditioned on no frame."""
    return (
        *_texts(request, model),
        _denoise(request, model, spec, guidance_scale=request.guidance_scale, num_frames=passes(request, spec)[0].num_frames),
        _decode_film(request, model),
    )


def _image2world(request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    """An image first, with the image model's own guidance and negative prompt, then a world conditioned on it.

    Upsampled is the prompt of the world alone, with the image before the language model's eyes, as the official script does.
    """
    image, frames = model.denoiser(Workflow.TEXT2IMAGE), TaskOutput(task="image_decode_video", output="frames")
    upsampled = template_of(request, model) is not None
    prefix, scale = "image_", image.default_guidance_scale
    text = f"{prefix}encode_text" if upsampled else "encode_text"
    world = _texts(request, model, frames)
    return (
        *_negative(request, model, image.default_negative_prompt, scale, prefix=prefix),
        *((_encode_text(text, request.prompt, model.text_encoder, model.text_projection),) if upsampled else world),
        _denoise(request, model, image, guidance_scale=scale, num_frames=1, prefix=prefix, text=text),
        _decode(model.video_tokenizer, prefix=prefix),
        *(world if upsampled else ()),
        _encode_video(request, model, frames),
        _denoise_world(request, model),
        _decode_film(request, model),
    )


WORKFLOWS: dict[Workflow, Callable[[WorldRequest, ModelSpec], tuple[Task, ...]]] = {
    Workflow.TEXT2IMAGE: _text2image,
    Workflow.VIDEO2WORLD: _video2world,
    Workflow.TEXT2WORLD: _text2world,
}


def _guard(request: WorldRequest) -> Task:
    parameters: Parameters = {"prompt": request.prompt, "negative_prompt": request.negative_prompt}
    return Task(id="guard_prompt", stage="guardrail_text", parameters=parameters)


def _guided(request: WorldRequest, scale: float) -> bool:
    """Official code guides by any scale above 0, `cond + scale * (cond - uncond)`; diffusers only above 1."""
    return scale > (1.0 if request.numerics is Numerics.DIFFUSERS else 0.0)


def _texts(request: WorldRequest, model: ModelSpec, frames: Source | None = None) -> tuple[Task, ...]:
    """The prompt's encoding, and the negative prompt's if the request is guided by it. Before them, who rewrites the prompt."""
    template, guard = template_of(request, model), _last_guard(request, model)
    negative = _negative(request, model, request.negative_prompt, request.guidance_scale, guard=guard)
    if template is None:
        return (_encode_text("encode_text", request.prompt, model.text_encoder, model.text_projection), *negative)
    chosen = _encode_chosen(model.text_encoder, model.text_projection)
    return (*upsampling_tasks(request, template, frames), chosen, *negative)


def _last_guard(request: WorldRequest, model: ModelSpec) -> str:
    return "guard_prompt" if template_of(request, model) is None else GUARD_UPSAMPLED


def _negative(
    request: WorldRequest, model: ModelSpec, text: str, scale: float, *, prefix: str = "", guard: str = "guard_prompt"
) -> tuple[Task, ...]:
    if not _guided(request, scale):
        return ()
    task_id = f"{prefix}encode_negative_text"
    return (_encode_usual(task_id, text, model.text_encoder, model.text_projection, guard),)


def _encode_text(task_id: str, text: str, component: str, projection: str | None, guard: str = "guard_prompt") -> Task:
    return Task(
        id=task_id,
        stage="text_encoder",
        component=component,
        parameters={"prompt": text} | _projected(projection),
        after=(guard,),
    )


@_shared
def _encode_chosen(component: str, projection: str | None) -> Task:
    return Task(
        id="encode_text",
        stage="text_encoder",
        component=component,
        parameters=_projected(projection),
        inputs={CHOSEN_PROMPT.output: CHOSEN_PROMPT},
    )


def _projected(projection: str | None) -> Parameters:
    return {} if projection is None else {"projection": projection}


_encode_usual = lru_cache(256)(_encode_text)
"""Most requests have the same negative prompt."""


def _encode_video(request: WorldRequest, model: ModelSpec, frames: Source) -> Task:
    samples = request.numerics is Numerics.DIFFUSERS and model.denoiser(request.workflow).diffusers_samples_posterior
    frames_made = passes(request, model.denoiser(request.workflow))[0].num_frames
    posterior = (request.seed, frames_made) if samples else None
    guard = _last_guard(request, model)
    # What another task of the plan made has waited for the first guardrail already.
    after = () if isinstance(frames, TaskOutput) and guard == "guard_prompt" else (guard,)
    return _encode_frames(model.video_tokenizer, request.size.height, request.size.width, frames, posterior, after)


@_shared
def _encode_frames(
    component: str, height: int, width: int, frames: Source, posterior: tuple[int, int] | None, after: tuple[str, ...]
) -> Task:
    parameters: Parameters = {"height": height, "width": width}
    if posterior is not None:
        parameters |= dict(zip(("posterior_seed", "posterior_frames"), posterior, strict=True))
    return Task(
        id="encode_video",
        stage="video_encoder",
        component=component,
        parameters=parameters,
        inputs={"frames": frames},
        after=after,
    )


def _denoise_world(request: WorldRequest, model: ModelSpec) -> Task:
    spec = model.denoiser(request.workflow)
    return _denoise(
        request,
        model,
        spec,
        guidance_scale=request.guidance_scale,
        num_frames=passes(request, spec)[0].num_frames,
        conditioned=True,
    )


def _denoise(
    request: WorldRequest,
    model: ModelSpec,
    spec: DenoiserSpec,
    *,
    guidance_scale: float,
    num_frames: int,
    conditioned: bool = False,
    prefix: str = "",
    text: str = "encode_text",
) -> Task:
    size = _size_of(request, spec)
    return _denoise_latents(
        spec.component,
        model.compression.latent_shape(num_frames, size.height, size.width),
        request.seed,
        request.num_inference_steps,
        guidance_scale,
        request.sampler.value,
        # It is of the network that makes the result, not of the one that may make an image before it.
        lora=(request.lora, request.lora_scale) if spec == model.denoiser(request.workflow) else (None, None),
        rope_fps=spec.diffusers_rope_fps if request.numerics is Numerics.DIFFUSERS else spec.rope_fps,
        conditional_timestep=spec.conditional_timestep,
        guided=_guided(request, guidance_scale),
        conditioned=conditioned,
        prefix=prefix,
        text=text,
    )


@_shared
def _denoise_latents(
    component: str,
    shape: tuple[int, ...],
    seed: int,
    steps: int,
    guidance_scale: float,
    sampler: str,
    *,
    lora: tuple[str | None, float | None],
    rope_fps: float | None,
    conditional_timestep: float | None,
    guided: bool,
    conditioned: bool,
    prefix: str,
    text: str,
) -> Task:
    parameters: Parameters = {
        "latent_shape": list(shape),
        "seed": seed,
        "num_inference_steps": steps,
        "guidance_scale": guidance_scale,
        "sampler": sampler,
    }
    told = {"lora": lora[0], "lora_scale": lora[1], "rope_fps": rope_fps, "conditional_timestep": conditional_timestep}
    parameters |= {name: value for name, value in told.items() if value is not None}
    inputs: dict[str, Source] = {"text_embeddings": TaskOutput(task=text, output="text_embeddings")}
    if guided:
        negative = TaskOutput(task=f"{prefix}encode_negative_text", output="text_embeddings")
        inputs["negative_text_embeddings"] = negative
    if conditioned:
        inputs["condition_latents"] = TaskOutput(task="encode_video", output="latents")
    return Task(id=f"{prefix}denoise", stage="denoiser", component=component, parameters=parameters, inputs=inputs)


def _size_of(request: WorldRequest, spec: DenoiserSpec) -> Size:
    """The request's own size, or for the image before a world the image model's size of the same aspect ratio."""
    if request.size in spec.all_sizes:
        return request.size
    ratios = spec.sizes[spec.default_resolution]
    shape = request.size.width / request.size.height
    return min(ratios.values(), key=lambda size: abs(size.width / size.height - shape))


def _decode_film(request: WorldRequest, model: ModelSpec) -> Task:
    first = passes(request, model.denoiser(request.workflow))[0]
    return _decode(model.video_tokenizer, num_frames=None if first.kept == first.num_frames else first.kept)


@_shared
def _decode(component: str, *, prefix: str = "", num_frames: int | None = None) -> Task:
    return Task(
        id=f"{prefix}decode_video",
        stage="video_decoder",
        component=component,
        parameters={} if num_frames is None else {"num_frames": num_frames},
        inputs={"latents": TaskOutput(task=f"{prefix}denoise", output="latents")},
    )
