"""What a job came to."""

from __future__ import annotations

from orrery.sdk.errors import JobFailed
from orrery.sdk.results import World
from orrery.worlds.errors import JobCancelled, from_dict


def result_of(world: World) -> World:
    """A completed job. Raises `JobFailed` with the server's reason, `JobCancelled`."""
    if world.status == "cancelled":
        raise JobCancelled(f"job {world.id} was cancelled")
    if world.status == "failed":
        raise JobFailed(world, from_dict(world.error or {"code": "stage_failed", "message": "no reason was given"}))
    return world
