"""Names of the keys that are read outside the scripts; `lua/prelude.lua` lists them all."""

from __future__ import annotations

ROOT = "{orrery}"
"""Begins every key. Redis Cluster hashes only what stands in braces, so all keys share one slot."""

EVENTS = f"{ROOT}:events"
SIGNALS = f"{ROOT}:signals"


def bell(pool: str) -> str:
    return f"{ROOT}:bell:{pool}"


def job(job_id: str) -> str:
    return f"{ROOT}:job:{job_id}"


def preview(job_id: str) -> str:
    return f"{ROOT}:job:{job_id}:preview"


def job_events(job_id: str) -> str:
    return f"{ROOT}:job:{job_id}:events"
