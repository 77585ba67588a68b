"""Names of the keys that are read outside the scripts; `lua/prelude.lua` lists them all."""

from __future__ import annotations

ROOT = "{orrery}"
"""Begins every key. Redis Cluster hashes only what stands in braces, so all keys share one slot."""

GROUP = "workers"
NOBODY = "-"
"""The consumer that stands in the group for no worker."""

EVENTS = f"{ROOT}:events"
CANCELLATIONS = f"{ROOT}:cancellations"


def pool_stream(pool: str) -> str:
    return f"{ROOT}:pool:{pool}"


def job(job_id: str) -> str:
    return f"{ROOT}:job:{job_id}"


def job_events(job_id: str) -> str:
    return f"{ROOT}:job:{job_id}:events"
