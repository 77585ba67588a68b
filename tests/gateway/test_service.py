"""Health, metrics, settings."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.rig import TINY, Rig, eventually, rig_of
from orrery.gateway.readiness import pools_of
from orrery.gateway.settings import GatewaySettings
from orrery.jobs.memory import MemoryJobs
from orrery.jobs.records import PoolStatus
from orrery.worlds.catalog import CATALOG
from orrery.worlds.environment import from_environment
from orrery.worlds.errors import StoreUnavailable

POOLS = pools_of(CATALOG[TINY])


class GoneJobs(MemoryJobs):
    async def pools(self) -> dict[str, PoolStatus]:
        raise StoreUnavailable("refused")

    async def get(self, job_id: str) -> None:  # type: ignore[override]
        raise StoreUnavailable("refused")


async def samples(rig: Rig) -> dict[str, float]:
    lines = (await rig.client.get("/metrics")).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


async def test_alive_says_nothing_about_anything_else(rig: Rig) -> None:
    assert (await rig.client.get("/health/live")).status_code == 200


async def test_ready_when_every_pool_of_the_default_model_has_a_worker(rig: Rig) -> None:
    assert len(POOLS) == 7
    answer = await rig.client.get("/health/ready")
    assert (answer.status_code, answer.json()["missing"]) == (503, sorted(POOLS))
    await rig.jobs.announce("w1", POOLS - {"publisher"}, seconds=60)
    answer = await rig.client.get("/health/ready")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["publisher"])
    await rig.jobs.announce("w2", ["publisher"], seconds=60)
    assert (await rig.client.get("/health/ready")).status_code == 200
    await rig.jobs.announce("w2", [], seconds=60)
    assert (await rig.client.get("/health/ready")).status_code == 503


async def test_without_its_job_store_a_gateway_is_not_ready_and_says_so() -> None:
    async with rig_of(GoneJobs()) as rig:
        ready = await rig.client.get("/health/ready")
        assert (ready.status_code, ready.json()["job_store"]) == (503, False)
        answer = await rig.client.get("/v1/videos/video_" + "0" * 32)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
        assert answer.headers["retry-after"]
        metrics = await samples(rig)
        assert metrics["orrery_job_store_up"] == 0
        assert not any(name.startswith("orrery_pool_") for name in metrics)


async def test_metrics_count_requests_by_template_and_show_the_pools(rig: Rig) -> None:
    job_id = (await rig.post()).json()["id"]
    await rig.client.get(f"/v1/videos/{job_id}")
    await rig.client.get("/v1/nowhere")
    await rig.jobs.announce("w1", ["publisher"], seconds=60)
    metrics = await samples(rig)
    requests = "orrery_http_requests_total"
    assert metrics[f'{requests}{{method="POST",route="/v1/videos",status="202"}}'] == 1
    assert metrics[f'{requests}{{method="GET",route="/v1/videos/{{job_id}}",status="200"}}'] == 1
    assert metrics[f'{requests}{{method="GET",route="unmatched",status="404"}}'] == 1
    assert metrics['orrery_jobs_submitted_total{model="tiny-predict2",workflow="text2world"}'] == 1
    assert metrics['orrery_pool_waiting{pool="guardrail_text"}'] == 1
    assert metrics['orrery_pool_workers{pool="publisher"}'] == 1
    assert metrics["orrery_job_store_up"] == 1


async def test_each_app_counts_for_itself() -> None:
    async with rig_of() as one, rig_of() as other:
        await one.post()
        assert not any("submitted" in name for name in await samples(other))
        assert any("submitted" in name for name in await samples(one))


async def test_ended_jobs_are_counted_while_the_app_runs(rig: Rig) -> None:
    async with rig.app.router.lifespan_context(rig.app):
        done, dropped = [(await rig.post(seed=seed)).json()["id"] for seed in (1, 2)]
        await rig.jobs.cancel(dropped)
        await rig.work(done)

        async def both() -> bool:
            metrics = await samples(rig)
            ended = [metrics.get(f'orrery_jobs_ended_total{{state="{state}"}}') for state in ("completed", "cancelled")]
            return ended == [1, 1]

        assert await eventually(both)


REQUIRED = {"ORRERY_REDIS_URL": "redis://r", "ORRERY_ARTIFACTS_URL": "file:///a"}


def test_settings_come_from_the_environment() -> None:
    chosen = {"ORRERY_MODELS": "predict2-2b, tiny-predict2", "ORRERY_DEFAULT_MODEL": "predict2-2b", "ORRERY_PORT": "81"}
    settings = from_environment(GatewaySettings, REQUIRED | chosen | {"ORRERY_RUN_DIR": "/of/a/stage", "HOME": "/"})
    assert settings.models == ("predict2-2b", "tiny-predict2")
    assert (settings.default_model, settings.port, settings.redis_url) == ("predict2-2b", 81, "redis://r")
    assert settings.max_upload_bytes == 100 * 2**20


@pytest.mark.parametrize(
    "wrong",
    [
        {"ORRERY_PORT": "http"},
        {"ORRERY_PORT": "70000"},
        {"ORRERY_MODELS": "none"},
        {"ORRERY_MODELS": ""},
        {"ORRERY_DEFAULT_MODEL": "predict2-2b"},
        {"ORRERY_MAX_UPLOAD_BYTES": "0"},
    ],
    ids=str,
)
def test_settings_are_strict(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        from_environment(GatewaySettings, REQUIRED | wrong)


def test_settings_that_are_missing_are_named() -> None:
    with pytest.raises(ValidationError, match="redis_url"):
        from_environment(GatewaySettings, {})
