"""One video from a gateway, with a live line that says where it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from orrery.client.api import Gateway
from orrery.worlds.errors import from_dict

POLL_SECONDS = 0.1
ENDED = ("completed", "failed", "cancelled")


@dataclass
class Pace:
    """Seconds left: the server's forecast, or before it has seen enough jobs, those of the steps seen so far."""

    stage: str | None = None
    first_step: int = 0
    since: float = 0.0

    def left(self, job: dict[str, Any], now: float) -> float | None:
        if job["eta_seconds"] is not None:
            return float(job["eta_seconds"])
        stage, step, of = job["stage"], job.get("step"), job.get("num_steps")
        if not step or not of:
            return None
        if stage != self.stage:
            self.stage, self.first_step, self.since = stage, step, now
        made = step - self.first_step
        return (of - step) * (now - self.since) / made if made else None


def line(job: dict[str, Any], left: float | None, elapsed: float) -> str:
    """`denoiser  12/35  34 %  ETA 3 s  (2.1 s)`."""
    words = [job["stage"] or job["status"]]
    if job["queue_position"]:
        words.append(f"{job['queue_position']} ahead in the queue")
    if job.get("num_steps"):
        words.append(f"step {job.get('step') or 0}/{job['num_steps']}")
    words.append(f"{job['progress']} %")
    if left is not None:
        words.append(f"ETA {left:.0f} s")
    return "  ".join([*words, f"({elapsed:.1f} s)"])


def follow(gateway: Gateway, job: dict[str, Any], console: Console) -> dict[str, Any]:
    """Waits for the job's end. Raises its typed error if it failed; an interrupt cancels it."""
    pace, started = Pace(), time.monotonic()
    try:
        with Live(console=console, refresh_per_second=10, transient=True) as live:
            while job["status"] not in ENDED:
                time.sleep(POLL_SECONDS)
                job = gateway.video(job["id"])
                now = time.monotonic()
                live.update(Text(line(job, pace.left(job, now), now - started)))
    except KeyboardInterrupt:
        gateway.delete(job["id"])
        raise
    if job["error"]:
        raise from_dict(job["error"])
    return job


def generate(
    gateway: Gateway, fields: dict[str, Any], conditioning: Path | None, output: Path, console: Console
) -> dict[str, Any]:
    """Creates the job, follows it, and writes its video to `output`; gives the finished job."""
    output.parent.mkdir(parents=True, exist_ok=True)
    job = follow(gateway, gateway.create_video(fields, conditioning), console)
    gateway.download(job["id"], output)
    return job
