"""What clients that poll are given is what was rendered anew would be."""

from __future__ import annotations

import json

import pytest

from gateway.rig import Rig
from orrery.gateway.forecast import Forecast
from orrery.gateway.rendering import Rendering
from orrery.gateway.views import job_view, record_view


async def test_a_rendered_job_is_its_view(rig: Rig) -> None:
    job_id = (await rig.post(prompt="Würfel 🎲")).json()["id"]
    rendering = Rendering(record_view)
    for forecast in (Forecast(), Forecast(3, 1.5), Forecast(queue_position=0)):
        job = await rig.jobs.get(job_id)
        assert json.loads(rendering.job(job, forecast)) == job_view(job, forecast)
        assert json.loads(rendering.job(job, forecast)) == job_view(job, forecast)
    await rig.work(job_id)
    done = await rig.jobs.get(job_id)
    assert json.loads(rendering.job(done, Forecast())) == job_view(done, Forecast())


async def test_only_so_much_is_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.gateway.rendering.KEPT", 3)
    rendering = Rendering(record_view)
    jobs = [await rig.jobs.get((await rig.post(seed=seed)).json()["id"]) for seed in range(6)]
    for job in (*jobs, *jobs):
        assert json.loads(rendering.job(job, Forecast()))["seed"] == job.request["seed"]
    assert len(rendering._kept) == 3
