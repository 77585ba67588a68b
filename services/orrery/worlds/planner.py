"""`plan`: from a settled request to a graph of tasks. Pure; nothing after it knows what a workflow is."""

from __future__ import annotations

from collections.abc import Callable

from orrery.worlds.catalog.models import DenoiserSpec, ModelSpec, Size, Workflow
from orrery.worlds.plan import ArtifactRef, Parameters, Plan, Source, Task, TaskOutput
from orrery.worlds.requests import Numerics, WorldRequest


def plan(request: WorldRequest, model: ModelSpec) -> Plan:
    """The tasks of `request`. Every task that spends a device waits for the guardrail."""
    tasks = (_guard(request), *WORKFLOWS[request.workflow](request, model), _publish(request))
    result = {
        "media": TaskOutput(task="publish", output="media"),
        "thumbnail": TaskOutput(task="publish", output="thumbnail"),
        "spritesheet": TaskOutput(task="publish", output="spritesheet"),
    }
    return Plan(tasks=tasks, result=result)


def _text2image(request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    spec = model.denoiser(Workflow.TEXT2IMAGE)
    return (
        *_texts(request, model),
        _denoise(request, model, spec, guidance_scale=request.guidance_scale, num_frames=1),
        _decode(model),
    )


def _video2world(request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    if request.conditioning is None:
        raise ValueError("video2world needs conditioning frames")
    return (
        *_texts(request, model),
        _encode_video(request, model, request.conditioning),
        _denoise_world(request, model),
        _decode(model),
    )


def _text2world(request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    """An image first, with the image model's own guidance and negative prompt, then a world conditioned on it."""
    image = model.denoiser(Workflow.TEXT2IMAGE)
    return (
        *_negative(request, model, image.default_negative_prompt, image.default_guidance_scale, prefix="image_"),
        *_texts(request, model),
        _denoise(request, model, image, guidance_scale=image.default_guidance_scale, num_frames=1, prefix="image_"),
        _decode(model, prefix="image_"),
        _encode_video(request, model, TaskOutput(task="image_decode_video", output="frames")),
        _denoise_world(request, model),
        _decode(model),
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


def _texts(request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    """The prompt's encoding, and the negative prompt's if the request is guided by it."""
    negative = _negative(request, model, request.negative_prompt, request.guidance_scale)
    return (_encode_text("encode_text", request.prompt, model), *negative)


def _negative(request: WorldRequest, model: ModelSpec, text: str, scale: float, *, prefix: str = "") -> tuple[Task, ...]:
    return (_encode_text(f"{prefix}encode_negative_text", text, model),) if _guided(request, scale) else ()


def _encode_text(task_id: str, text: str, model: ModelSpec) -> Task:
    return Task(
        id=task_id,
        stage="text_encoder",
        component=model.text_encoder,
        parameters={"prompt": text},
        after=("guard_prompt",),
    )


def _encode_video(request: WorldRequest, model: ModelSpec, frames: Source) -> Task:
    parameters: Parameters = {
        "height": request.size.height,
        "width": request.size.width,
    }
    if request.numerics is Numerics.DIFFUSERS:
        parameters |= {"posterior_seed": request.seed, "posterior_frames": request.num_frames}
    after = ("guard_prompt",) if isinstance(frames, ArtifactRef) else ()
    return Task(
        id="encode_video",
        stage="video_encoder",
        component=model.video_tokenizer,
        parameters=parameters,
        inputs={"frames": frames},
        after=after,
    )


def _denoise_world(request: WorldRequest, model: ModelSpec) -> Task:
    return _denoise(
        request,
        model,
        model.denoiser(request.workflow),
        guidance_scale=request.guidance_scale,
        num_frames=request.num_frames,
        condition=TaskOutput(task="encode_video", output="latents"),
    )


def _denoise(
    request: WorldRequest,
    model: ModelSpec,
    spec: DenoiserSpec,
    *,
    guidance_scale: float,
    num_frames: int,
    condition: TaskOutput | None = None,
    prefix: str = "",
) -> Task:
    size = _size_of(request, spec)
    parameters: Parameters = {
        "latent_shape": list(model.compression.latent_shape(num_frames, size.height, size.width)),
        "seed": request.seed,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": guidance_scale,
        "sampler": request.sampler.value,
    }
    if request.numerics is Numerics.DIFFUSERS and spec.diffusers_rope_fps is not None:
        parameters["rope_fps"] = spec.diffusers_rope_fps
    inputs: dict[str, Source] = {"text_embeddings": TaskOutput(task="encode_text", output="text_embeddings")}
    if _guided(request, guidance_scale):
        negative = TaskOutput(task=f"{prefix}encode_negative_text", output="text_embeddings")
        inputs["negative_text_embeddings"] = negative
    if condition is not None:
        inputs["condition_latents"] = condition
    return Task(id=f"{prefix}denoise", stage="denoiser", component=spec.component, parameters=parameters, inputs=inputs)


def _size_of(request: WorldRequest, spec: DenoiserSpec) -> Size:
    """The request's own size, or for the image before a world the image model's size of the same aspect ratio."""
    if request.size in spec.all_sizes:
        return request.size
    ratios = spec.sizes[spec.default_resolution]
    shape = request.size.width / request.size.height
    return min(ratios.values(), key=lambda size: abs(size.width / size.height - shape))


def _decode(model: ModelSpec, *, prefix: str = "") -> Task:
    return Task(
        id=f"{prefix}decode_video",
        stage="video_decoder",
        component=model.video_tokenizer,
        inputs={"latents": TaskOutput(task=f"{prefix}denoise", output="latents")},
    )


def _publish(request: WorldRequest) -> Task:
    parameters: Parameters = {"fps": request.fps, "output_format": request.output_format.value}
    inputs: dict[str, Source] = {"frames": TaskOutput(task="decode_video", output="frames")}
    if request.prelude is not None:
        parameters["overlap"] = request.num_conditional_frames
        inputs["prelude"] = request.prelude
    return Task(id="publish", stage="publisher", parameters=parameters, inputs=inputs)
