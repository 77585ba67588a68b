"""Every query of the dashboard and of the alerts finds what it asks for in what the processes export under load."""

from __future__ import annotations

import json
import math
import re
import subprocess

import pytest
import yaml

from observability.conftest import Observed
from observability.prometheus import ALERTS, DASHBOARD, program
from orrery.dispatcher.metrics import new_metrics as dispatcher_metrics
from orrery.gateway.metrics import new_metrics as gateway_metrics
from orrery.telemetry.instruments import Instruments
from orrery.telemetry.traffic import ArtifactTraffic
from orrery.worker.observing import WorkMetrics

PANELS = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}") for panel in PANELS for target in panel["targets"]
]
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
SELECTOR = re.compile(r"\b((?:orrery|nv)_\w+(?:\{[^}]*\})?)")


@pytest.mark.parametrize("expression", QUERIES)
def test_every_query_of_a_panel_returns_data(observed: Observed, expression: str) -> None:
    found = observed.prometheus.values(expression.replace("$__rate_interval", "5m"))
    assert [value for value in found if not math.isnan(value)], f"{expression} gives {found}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_selector_of_an_alert_returns_data(observed: Observed, rule: dict[str, str]) -> None:
    selectors = SELECTOR.findall(rule["expr"])
    assert selectors
    empty = [selector for selector in selectors if not observed.prometheus.values(selector)]
    assert empty == []
    observed.prometheus.values(rule["expr"])


def test_prometheus_runs_all_alerts_without_an_error(observed: Observed) -> None:
    rules = observed.prometheus.rules()
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in RULES}
    assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []


def test_what_the_processes_say_they_export_is_scraped(observed: Observed) -> None:
    said = Instruments(), Instruments()
    gateway_metrics(said[0])
    WorkMetrics(said[0])
    ArtifactTraffic(said[0])
    dispatcher_metrics(said[1])
    suffix = {"histogram": "_count"}
    names = {metric.name + suffix.get(metric.kind, "") for made in said for metric in made.described}
    assert names - observed.prometheus.names() == set()


def test_promtool_finds_nothing_wrong_with_names_and_meanings(observed: Observed) -> None:
    pages = observed.prometheus.pages()
    assert len(pages) == 3
    for url, page in pages.items():
        done = subprocess.run(
            [program("promtool"), "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{url}: {done.stdout}{done.stderr}"


def test_the_killed_triton_and_its_retry_are_counted(observed: Observed) -> None:
    assert sum(observed.prometheus.values("orrery_triton_restarts_total")) == 1
    assert sum(observed.prometheus.values("max by (pool) (orrery_retries_total)")) == 1
    assert sum(observed.prometheus.values('orrery_artifact_errors_total{code="artifact_corrupt"}')) == 1
