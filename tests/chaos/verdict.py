"""What must hold of every accepted job, read from the records, the event stream and the videos."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from chaos.customers import ENDED, Order
from orrery.jobs.records import Event

ENDS = tuple(f"job.{state}" for state in ENDED)
RANK = {"job.queued": 0, "job.in_progress": 1, "job.progress": 2} | dict.fromkeys(ENDS, 3)


@dataclass(frozen=True)
class Verdict:
    """`steps_*` are denoising steps of completed jobs; `lost` were accepted and never ended."""

    accepted: int
    completed: int
    cancelled: int
    dead: int
    lost: int
    ended_twice: int
    out_of_order: int
    steps_executed: int
    steps_needed: int
    mismatched_results: int
    preemptions: int
    leases_lost: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def faults(self) -> list[str]:
        """Empty if every promise was kept."""
        zero = {name: getattr(self, name) for name in ("lost", "ended_twice", "out_of_order", "mismatched_results", "dead")}
        found = [f"{name} is {value}" for name, value in zero.items() if value]
        if self.steps_executed > 1.10 * self.steps_needed:
            found.append(f"{self.steps_executed} steps were executed where {self.steps_needed} were needed")
        return found


def judge(orders: list[Order], events: list[Event], mismatched: int) -> Verdict:
    accepted = [order for order in orders if order.job_id]
    jobs = [order.job for order in accepted if order.job is not None]
    states = Counter(job["status"] for job in jobs)
    rows = [row for job in jobs if job["status"] == "completed" for row in job["timeline"] if row["num_steps"]]
    everything = [row for job in jobs for row in job["timeline"]]
    return Verdict(
        accepted=len(accepted),
        completed=states["completed"],
        cancelled=states["cancelled"],
        dead=states["failed"],
        lost=len(accepted) - sum(states[state] for state in ENDED),
        ended_twice=_ended_twice(events),
        out_of_order=_out_of_order(events),
        steps_executed=sum(row["steps_run"] for row in rows),
        steps_needed=sum(row["num_steps"] for row in rows),
        mismatched_results=mismatched,
        preemptions=sum(row["preemptions"] for row in everything),
        leases_lost=sum(row["leases_lost"] for row in everything),
    )


def _ended_twice(events: list[Event]) -> int:
    ends = Counter(event.job_id for event in events if event.type in ENDS)
    return sum(1 for count in ends.values() if count > 1)


def _out_of_order(events: list[Event]) -> int:
    """Jobs whose events do not go forward: from queued to in progress to the end, with no step after it."""
    told: defaultdict[str, list[int]] = defaultdict(list)
    for event in events:
        told[event.job_id].append(RANK[event.type])
    return sum(1 for ranks in told.values() if ranks != sorted(ranks))
