"""Whether what the default model needs is there."""

from __future__ import annotations

from collections.abc import Mapping

from orrery.jobs.records import PoolStatus
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, settle

_ANY_FRAMES = ArtifactRef(digest="0" * 64, size=0)


def pools_of(model: ModelSpec) -> frozenset[str]:
    """Every pool that a job of the model may need: read off the plans themselves."""
    return frozenset().union(*(_pools(model, workflow) for workflow in model.workflows))


def _pools(model: ModelSpec, workflow: Workflow) -> frozenset[str]:
    request = settle(RequestedWorld(prompt="any"), model, workflow, conditioning=_ANY_FRAMES)
    return plan(request, model).pools


def unserved(model: ModelSpec, pools: Mapping[str, PoolStatus]) -> list[str]:
    """The pools of the model that no live worker serves."""
    return sorted(pool for pool in pools_of(model) if pool not in pools or not pools[pool].workers)
