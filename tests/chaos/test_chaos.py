"""The short campaign, and the parts of the harness that can be wrong by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.adversary import KINDS, schedule
from chaos.campaign import Campaign
from chaos.customers import Order
from chaos.verdict import Verdict, judge
from orrery.jobs.records import Event

SEED = 7


def test_a_seed_gives_its_schedule_again() -> None:
    assert schedule(SEED, 600, 2) == schedule(SEED, 600, 2)
    assert schedule(SEED, 600, 2) != schedule(SEED + 1, 600, 2)
    assert {blow.kind for blow in schedule(SEED, 600, 2)} == set(KINDS)
    assert max(blow.at for blow in schedule(SEED, 600, 2)) < 585


def order(number: int, status: str | None, *, steps_run: int = 10) -> Order:
    row = {"num_steps": 10, "steps_run": steps_run, "preemptions": 0, "leases_lost": 0}
    job = None if status is None else {"status": status, "timeline": [row]}
    return Order(number, {}, None, job_id=f"job-{number}", job=job)


def event(number: int, kind: str, job: str = "job-1") -> Event:
    return Event(id=str(number), job_id=job, type=kind, at=float(number))


def test_the_judge_sees_what_went_wrong() -> None:
    fine = [event(1, "job.queued"), event(2, "job.in_progress"), event(3, "job.progress"), event(4, "job.completed")]
    assert judge([order(1, "completed")], fine, 0).faults == []
    assert judge([order(1, None)], fine, 0).lost == 1
    assert judge([order(1, "in_progress")], fine, 0).lost == 1
    assert judge([order(1, "failed")], fine, 0).dead == 1
    assert judge([order(1, "completed")], [*fine, event(5, "job.completed")], 0).ended_twice == 1
    assert judge([order(1, "completed")], [*fine, event(5, "job.progress")], 0).out_of_order == 1
    assert judge([order(1, "completed")], fine, 1).faults == ["mismatched_results is 1"]
    assert "12 steps were executed where 10 were needed" in judge([order(1, "completed", steps_run=12)], fine, 0).faults


@pytest.mark.timeout(900)
async def test_every_accepted_job_ends_once_with_the_bytes_of_a_calm_run(models_dir: Path, tmp_path: Path) -> None:
    campaign = Campaign(SEED, 90.0, 30, tmp_path, models_dir, blow_every=8.0)
    told: list[str] = []
    verdict: Verdict = await campaign.run(told.append)
    assert verdict.faults == [], (told, verdict)
    assert verdict.accepted == 30
    assert verdict.completed + verdict.cancelled == 30
