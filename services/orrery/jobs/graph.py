"""What both stores read off a plan."""

from __future__ import annotations

from collections.abc import Mapping

from orrery.worlds.plan import ArtifactRef, Plan, Source, TaskOutput

Outputs = Mapping[str, Mapping[str, ArtifactRef]]
"""Outputs of the tasks that are done, by task and name."""


def followers(plan: Plan) -> dict[str, list[str]]:
    """For each task, the tasks that need it."""
    found: dict[str, list[str]] = {task.id: [] for task in plan.tasks}
    for task in plan.tasks:
        for need in task.needs:
            found[need].append(task.id)
    return found


def promised(plan: Plan) -> dict[str, list[str]]:
    """For each task, the outputs that another task or the job's result reads."""
    names: dict[str, list[str]] = {task.id: [] for task in plan.tasks}
    sources = [*(s for task in plan.tasks for s in task.inputs.values()), *plan.result.values()]
    for source in sources:
        if isinstance(source, TaskOutput) and source.output not in names[source.task]:
            names[source.task].append(source.output)
    return names


def resolve(sources: Mapping[str, Source], outputs: Outputs) -> dict[str, ArtifactRef]:
    """The artifacts that the sources stand for, once the tasks they name are done."""
    return {name: s if isinstance(s, ArtifactRef) else outputs[s.task][s.output] for name, s in sources.items()}
