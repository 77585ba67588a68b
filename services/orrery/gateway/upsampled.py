"""What became of a job's prompt, read off its tasks."""

from __future__ import annotations

from typing import Any

from orrery.jobs.records import Job
from orrery.worlds.contracts import CHOICE, CHOSEN
from orrery.worlds.requests import WorldRequest
from orrery.worlds.upsampling import Choice, Outcome
from orrery.worlds.upsampling.planning import GUARD_UPSAMPLED

PENDING = {"outcome": "pending", "reason": None}
LEFT_ALONE = Choice(outcome=Outcome.ORIGINAL, reason="the prompt is long enough")


def upsampling_view(job: Job, request: WorldRequest) -> dict[str, Any]:
    """`upsampled_prompt` is the prompt that was chosen, `upsampling` what came of asking for another than the client's."""
    if not request.prompt_upsampling:
        return {"upsampled_prompt": None, "upsampling": None}
    task = next((task for task in job.tasks if task.id == GUARD_UPSAMPLED), None)
    if task is None:
        return {"upsampled_prompt": request.prompt, "upsampling": LEFT_ALONE.model_dump()}
    told = {name: ref.text for name, ref in task.outputs.items()}
    choice = told.get(CHOICE.name)
    return {
        "upsampled_prompt": told.get(CHOSEN.name),
        "upsampling": PENDING if choice is None else Choice.model_validate_json(choice).model_dump(),
    }


def chosen_prompt(job: Job) -> tuple[str, bool]:
    """The prompt that a completed job was made from, and whether a language model wrote it."""
    request = WorldRequest.model_validate(job.request)
    view = upsampling_view(job, request)
    if view["upsampling"] is None:
        return request.prompt, False
    return view["upsampled_prompt"], view["upsampling"]["outcome"] == Outcome.UPSAMPLED
