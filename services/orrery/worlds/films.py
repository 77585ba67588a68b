"""From the frames of one pass to a film: published as they are, or after as many more passes as the request has chunks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from orrery.worlds.catalog.models import DenoiserSpec, ModelSpec, Workflow
from orrery.worlds.passes import Pass, passes
from orrery.worlds.plan import ArtifactRef, Parameters, Source, Task, TaskOutput
from orrery.worlds.requests import Numerics, WorldRequest


def film_tasks(first: Sequence[Task], request: WorldRequest, model: ModelSpec) -> tuple[Task, ...]:
    """The tasks after those of the first pass, of which `denoise` and `decode_video` are two.

    Each later pass encodes the last frames that the one before made, goes on from them as the first pass would from a clip, and
    is published behind what is there: only the film grows, in its file.
    """
    made = passes(request, model.denoiser(request.workflow))
    prelude, overlap = request.prelude, 0 if request.prelude is None else request.num_conditional_frames
    if len(made) == 1:
        return (_publish_frames(request.fps, request.output_format.value, prelude, overlap),)
    started = next(task for task in first if task.id == "denoise")
    tasks = [_publish_pass(request, made[0], last=False, prelude=prelude, overlap=overlap)]
    for before, one in pairwise(made):
        tasks += _later(started, request, model, before, one)
        so_far = TaskOutput(task=f"publish_{before.index + 1}", output="media")
        last = one is made[-1]
        tasks.append(_publish_pass(request, one, last=last, prelude=so_far, overlap=request.chunk_overlap))
    return tuple(tasks)


def _later(started: Task, request: WorldRequest, model: ModelSpec, before: Pass, one: Pass) -> list[Task]:
    """One more pass: a world from frames, whatever the film began with, but for that as the first."""
    spec = model.denoiser(Workflow.VIDEO2WORLD)
    samples = request.numerics is Numerics.DIFFUSERS and spec.diffusers_samples_posterior
    encode = _encode_last(request, model.video_tokenizer, before, one, samples=samples)
    denoise = Task(
        id=f"denoise{one.suffix}",
        stage=started.stage,
        component=spec.component,
        parameters=started.parameters | {"seed": one.seed} | _told(spec),
        inputs=started.inputs | {"condition_latents": TaskOutput(task=encode.id, output="latents")},
        after=started.after,
    )
    decode = Task(
        id=f"decode_video{one.suffix}",
        stage="video_decoder",
        component=model.video_tokenizer,
        parameters={} if one.kept == one.num_frames else {"num_frames": one.kept},
        inputs={"latents": TaskOutput(task=denoise.id, output="latents")},
    )
    return [encode, denoise, decode]


def _told(spec: DenoiserSpec) -> Parameters:
    return {} if spec.conditional_timestep is None else {"conditional_timestep": spec.conditional_timestep}


def _encode_last(request: WorldRequest, component: str, before: Pass, one: Pass, *, samples: bool) -> Task:
    size = request.size
    parameters: Parameters = {"height": size.height, "width": size.width, "last_frames": request.chunk_overlap}
    if samples:
        parameters |= {"posterior_seed": one.seed, "posterior_frames": one.num_frames}
    frames = TaskOutput(task=f"decode_video{before.suffix}", output="frames")
    return Task(
        id=f"encode_video{one.suffix}",
        stage="video_encoder",
        component=component,
        parameters=parameters,
        inputs={"frames": frames},
    )


def _publish_pass(request: WorldRequest, one: Pass, *, last: bool, prelude: Source | None, overlap: int) -> Task:
    """The film up to this pass; of the last one it is the job's result."""
    task_id = "publish" if last else f"publish_{one.index + 1}"
    frames = f"decode_video{one.suffix}"
    return _publish_frames(request.fps, request.output_format.value, prelude, overlap, task_id, frames, whole=last)


@lru_cache(1024)
def _publish_frames(
    fps: int,
    output_format: str,
    prelude: ArtifactRef | TaskOutput | None,
    overlap: int,
    task_id: str = "publish",
    frames: str = "decode_video",
    *,
    whole: bool = False,
) -> Task:
    parameters: Parameters = {"fps": fps, "output_format": output_format}
    inputs: dict[str, Source] = {"frames": TaskOutput(task=frames, output="frames")}
    if prelude is not None:
        parameters["overlap"] = overlap
        inputs["prelude"] = prelude
    if whole:
        parameters["whole"] = True
    return Task(id=task_id, stage="publisher", parameters=parameters, inputs=inputs)
