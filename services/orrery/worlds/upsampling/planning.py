"""Which requests are upsampled, and the tasks that do it."""

from __future__ import annotations

from orrery.worlds.catalog.models import ModelSpec
from orrery.worlds.contracts import CHOSEN, GUARDRAIL_TEXT, PROMPT_UPSAMPLER, UPSAMPLING
from orrery.worlds.plan import Source, Task, TaskOutput
from orrery.worlds.requests import WorldRequest
from orrery.worlds.upsampling import template

GUARD_UPSAMPLED = "guard_upsampled"
CHOSEN_PROMPT = TaskOutput(task=GUARD_UPSAMPLED, output=CHOSEN.name)
"""The prompt that the world is made from, whichever of the two it is."""


def template_of(request: WorldRequest, model: ModelSpec) -> str | None:
    """The template that the request's prompt is rewritten with; None if it stays as it is."""
    if not request.prompt_upsampling:
        return None
    spec = model.upsampling[request.workflow]
    long = spec.leave_from_words is not None and len(request.prompt.split()) >= spec.leave_from_words
    return None if long else spec.template


def upsampling_tasks(request: WorldRequest, name: str, frames: Source | None) -> tuple[Task, Task]:
    """The prompt that was checked goes to the language model, and what comes back is checked; `frames` if it looks at one."""
    shown: dict[str, Source] = {}
    if template(name).picture is not None:
        if frames is None:
            raise ValueError(f"the template {name} shows a picture, and {request.workflow} has none")
        shown["frames"] = frames
    upsample = Task(
        id="upsample_prompt",
        stage=PROMPT_UPSAMPLER.name,
        component=name,
        parameters={"prompt": request.prompt},
        inputs=shown,
        after=("guard_prompt",),
    )
    guard = Task(
        id=GUARD_UPSAMPLED,
        stage=GUARDRAIL_TEXT.name,
        parameters={"prompt": request.prompt},
        inputs={UPSAMPLING.name: TaskOutput(task=upsample.id, output=UPSAMPLING.name)},
    )
    return upsample, guard
