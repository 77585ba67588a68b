"""Every alert fires when it should and is silent when it should be, by Prometheus' own `promtool`."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from observability.prometheus import ALERTS, ROOT, program

MINUTES = 100
LONG = f"x{MINUTES}"
RULES = {rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    """A sample a minute, in Prometheus' notation: `start+step x times`. `calm` differs from `firing` by as little as it can."""

    firing: Series
    calm: Series


def flat(value: float) -> str:
    return f"{value}+0{LONG}"


def rising(step: float) -> str:
    return f"0+{step}{LONG}"


def late(value: int) -> str:
    """At zero until a few minutes before the end."""
    return f"0+0x{MINUTES - 6} {value}+0x5"


def buckets(name: str, labels: str, rates: dict[str, float]) -> Series:
    """A histogram that grows by so much a minute."""
    return {f'{name}_bucket{{{labels}le="{edge}"}}': rising(rate) for edge, rate in rates.items()}


POOL = '{pool="denoiser/tiny"}'
WAIT, WAIT_LABELS = "orrery_task_wait_seconds", 'stage="denoiser",component="tiny",'
ETA = "orrery_eta_error_ratio"
HTTP = 'orrery_http_requests_total{method="POST",route="/v1/videos",status="%s"}'
ENDED = 'orrery_jobs_ended_total{instance="a",state="%s"}'
SWEEPS = 'orrery_sweeps_total{outcome="%s"}'

CASES = {
    "OrreryQueueNotDraining": Case(
        {f"orrery_pool_waiting{POOL}": flat(3), f"orrery_pool_running{POOL}": flat(0)},
        {f"orrery_pool_waiting{POOL}": flat(3), f"orrery_pool_running{POOL}": flat(1)},
    ),
    "OrreryWaitsLong": Case(
        buckets(WAIT, WAIT_LABELS, {"600": 9, "1800": 10, "+Inf": 10}),
        buckets(WAIT, WAIT_LABELS, {"600": 10, "1800": 10, "+Inf": 10}),
    ),
    "OrreryForecastsOff": Case(
        {f"{ETA}_count": rising(1)} | buckets(ETA, "", {"0.5": 0.4, "1": 1, "+Inf": 1}),
        {f"{ETA}_count": rising(1)} | buckets(ETA, "", {"0.5": 0.9, "1": 1, "+Inf": 1}),
    ),
    "OrreryDeadLetters": Case(
        {f"orrery_dead_letters_total{POOL}": late(1)},
        {f"orrery_dead_letters_total{POOL}": flat(7)},
    ),
    "OrreryLeasesLost": Case(
        {f"orrery_leases_lost_total{POOL}": late(4)},
        {f"orrery_leases_lost_total{POOL}": late(1)},
    ),
    "OrreryRetries": Case(
        {f"orrery_retries_total{POOL}": late(9)},
        {f"orrery_retries_total{POOL}": late(2)},
    ),
    "OrreryJobsFail": Case(
        {ENDED % "completed": rising(3), ENDED % "failed": rising(1)},
        {ENDED % "completed": rising(9), ENDED % "failed": rising(1)},
    ),
    "OrreryStageDown": Case(
        {f"orrery_pool_waiting{POOL}": flat(3), f"orrery_pool_workers{POOL}": flat(0)},
        {f"orrery_pool_waiting{POOL}": flat(0), f"orrery_pool_workers{POOL}": flat(0)},
    ),
    "OrreryStageNotReady": Case(
        {'orrery_stage_ready{stage="denoiser",instance="a"}': flat(0)},
        {'orrery_stage_ready{stage="denoiser",instance="a"}': flat(1)},
    ),
    "OrreryTritonRestarts": Case(
        {'orrery_triton_restarts_total{instance="a"}': late(4)},
        {'orrery_triton_restarts_total{instance="a"}': late(1)},
    ),
    "OrreryGatewayMissing": Case(
        {"orrery_webhooks_pending": flat(0)},
        {ENDED % "completed": flat(0)},
    ),
    "OrreryDispatcherMissing": Case(
        {ENDED % "completed": flat(0)},
        {"orrery_webhooks_pending": flat(0)},
    ),
    "OrreryHttpErrors": Case(
        {HTTP % "202": rising(9), HTTP % "503": rising(1)},
        {HTTP % "202": rising(99), HTTP % "503": rising(1)},
    ),
    "OrreryJobStoreDown": Case(
        {'orrery_job_store_up{instance="a"}': flat(0), 'orrery_job_store_up{instance="b"}': flat(1)},
        {'orrery_job_store_up{instance="a"}': flat(1), 'orrery_job_store_up{instance="b"}': flat(1)},
    ),
    "OrreryArtifactErrors": Case(
        {'orrery_artifact_errors_total{code="storage_full"}': late(1)},
        {'orrery_artifact_errors_total{code="storage_full"}': flat(3)},
    ),
    "OrrerySweepsFail": Case(
        {SWEEPS % "failed": rising(0.2), SWEEPS % "done": flat(5)},
        {SWEEPS % "failed": rising(0.2), SWEEPS % "done": rising(0.2)},
    ),
    "OrreryWebhooksGivenUp": Case(
        {'orrery_webhook_attempts_total{outcome="given_up"}': late(1)},
        {'orrery_webhook_attempts_total{outcome="given_up"}': flat(2)},
    ),
}


def test_every_alert_has_a_case() -> None:
    assert set(CASES) == set(RULES)


def promtool(folder: Path, tests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    path = folder / "tests.yaml"
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))  # JSON is YAML
    return subprocess.run([program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False)


def given(alert: str, series: Series, *, fires: bool) -> dict[str, Any]:
    expression = f'max(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    return {
        "name": alert,
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": expression, "eval_time": f"{MINUTES - 1}m", "exp_samples": [{"labels": "{}", "value": int(fires)}]}
        ],
    }


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_when_it_should_and_only_then(tmp_path: Path, alert: str) -> None:
    case = CASES[alert]
    done = promtool(tmp_path, [given(alert, case.firing, fires=True), given(alert, case.calm, fires=False)])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_does_not_hold_is_told(tmp_path: Path) -> None:
    done = promtool(tmp_path, [given("OrreryDeadLetters", CASES["OrreryDeadLetters"].calm, fires=True)])
    assert done.returncode == 1


def test_promtool_finds_nothing_wrong_with_rules_and_configuration() -> None:
    subprocess.run([program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(ALERTS)], check=True)
    settings = ROOT / "observability" / "prometheus.yml"
    subprocess.run([program("promtool"), "check", "config", "--syntax-only", str(settings)], check=True)


def test_every_alert_names_how_bad_it_is_and_its_section_of_the_operations_guide() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    sections = {title.lower() for title in re.findall(r"^#+ (Orrery\w+)$", guide, re.MULTILINE)}
    assert sections == {name.lower() for name in RULES}
    for name, rule in RULES.items():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert rule["annotations"]["summary"]
