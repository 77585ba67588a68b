"""What both stores read off a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from orrery.worlds.plan import ArtifactRef, Plan, Source

Outputs = Mapping[str, Mapping[str, ArtifactRef]]
"""Outputs of the tasks that are done, by task and name."""


class Node(NamedTuple):
    """A task without its parameters. `reads` are tasks and their outputs."""

    id: str
    stage: str
    pool: str
    needs: tuple[str, ...]
    reads: tuple[tuple[str, str], ...]


class Outline(NamedTuple):
    """What the plans of many jobs have in common. `result` is what the result reads."""

    nodes: tuple[Node, ...]
    result: tuple[tuple[str, str], ...]


def outline(plan: Plan) -> Outline:
    nodes = [Node(task.id, task.stage, task.pool, task.needs, task.reads) for task in plan.tasks]
    return Outline(tuple(nodes), tuple((source.task, source.output) for source in plan.result.values()))


def followers(plan: Outline) -> dict[str, list[str]]:
    """For each task, the tasks that need it."""
    found: dict[str, list[str]] = {task.id: [] for task in plan.nodes}
    for task in plan.nodes:
        for need in task.needs:
            found[need].append(task.id)
    return found


def promised(plan: Outline) -> dict[str, list[str]]:
    """For each task, the outputs that another task or the job's result reads."""
    names: dict[str, list[str]] = {task.id: [] for task in plan.nodes}
    for task, output in (*(read for node in plan.nodes for read in node.reads), *plan.result):
        if output not in names[task]:
            names[task].append(output)
    return names


def resolve(sources: Mapping[str, Source], outputs: Outputs) -> dict[str, ArtifactRef]:
    """The artifacts that the sources stand for, once the tasks they name are done."""
    return {name: s if isinstance(s, ArtifactRef) else outputs[s.task][s.output] for name, s in sources.items()}
