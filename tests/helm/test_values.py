"""A wrong value does not get past lint, which names it; what is right is written once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from jsonschema import Draft202012Validator

from helm.chart import CHART, ROOT, defaults, lint, render
from orrery.worlds.catalog import CATALOG

SCHEMA = json.loads((CHART / "values.schema.json").read_text())

WRONG: list[tuple[str, Any]] = [
    ("typo", 1),
    ("image.tagg", "1"),
    ("image.pullPolicy", "Sometimes"),
    ("image.uid", 0),
    ("models.served", ["predict9"]),
    ("models.default", "predict9"),
    ("stages.denoiser.replica", 2),
    ("stages.denoiser.replicas", "two"),
    ("stages.denoiser.replicas", -1),
    ("stages.denoiser.hosts", []),
    ("stages.denoiser.hosts", ["denoisr"]),
    ("stages.denoiser.hosts", ["transformer"]),
    ("stages.denoiser.settings.checkpoint_second", 3),
    ("stages.denoiser.settings.checkpoint_seconds", -1),
    ("stages.denoiser.settings.redis_url", "redis://elsewhere"),
    ("stages.denoiser.settings.transformer", "elsewhere"),
    ("stages.denoiser.gpu.resource", "gpu"),
    ("stages.denoiser.gpu.count", 0.5),
    ("stages.denoiser.sharedMemory", "plenty"),
    ("stages.denoiser.rollout.maxSurge", "some"),
    ("stages.denoiser.scaling.max", 0),
    ("stages.denoiser.scaling.minimum", 0),
    ("stages.denoiser.resources", {"request": {"cpu": 1}}),
    ("stages.gateway", {"hosts": ["publisher"]}),
    ("stages.Denoiser", {"hosts": ["publisher"]}),
    ("stageDefaults.drainSeconds", "30s"),
    ("gateway.settings.rate_per_seconds", 3),
    ("gateway.settings.max_headers", 0),
    ("gateway.replicas", 0),
    ("gateway.service.type", "ExternalName"),
    ("gateway.autoscaling.cpuPercent", 101),
    ("gateway.ingress.host", "worlds.example"),
    ("dispatcher.settings.webhook_secret", "whsec_AAAA"),
    ("redis.bundled.enabled", "yes"),
    ("redis.bundled.password", "hunter2"),
    ("redis.external.url", "redis://:hunter2@elsewhere"),
    ("artifacts.kind", "nfs"),
    ("artifacts.s3.url", "https://bucket"),
    ("artifacts.s3.secretAccessKey", "hunter2"),
    ("modelCache.components", {"t5-11b": "encoder"}),
    ("networkPolicy.gatewayFrom", [{"cidr": "10.0.0.0/8"}]),
    ("networkPolicy.kedaFrom", []),
    ("networkPolicy.namesAt", []),
    ("monitoring.labels", {"release": 1}),
    ("tracing.endpoint", "collector:4318"),
    ("test.seconds", 0),
]


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


@pytest.mark.parametrize(("path", "value"), WRONG, ids=lambda part: part if isinstance(part, str) else None)
def test_a_wrong_value_fails_lint_by_its_name(path: str, value: Any) -> None:
    said = "\n".join(lint(nested(path, value)))
    *parents, name = path.split(".")
    where = "".join(f"/{parent}" for parent in parents)
    told = (f"at '{where}/{name}", f"at '{where}': additional properties '{name}'", f"invalid propertyName '{name}'")
    assert any(text in said for text in told), said


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"gateway": {"ingress": {"enabled": True, "hosts": ["a.example"]}}}, "gateway.apiKeysSecret.name"),
        ({"gateway": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "edge"}]}}}, "gateway.apiKeysSecret.name"),
        ({"gateway": {"grpcRoute": {"enabled": True, "parentRefs": [{"name": "edge"}]}}}, "gateway.apiKeysSecret.name"),
        ({"gateway": {"service": {"type": "LoadBalancer"}}}, "gateway.apiKeysSecret.name"),
        ({"gateway": {"openToAnybody": True, "ingress": {"enabled": True}}}, "gateway.ingress.hosts"),
        ({"gateway": {"openToAnybody": True, "httpRoute": {"enabled": True}}}, "gateway.httpRoute.parentRefs"),
        ({"gateway": {"openToAnybody": True, "grpcRoute": {"enabled": True}}}, "gateway.grpcRoute.parentRefs"),
        ({"redis": {"bundled": {"enabled": False}}}, "redis.external.urlSecret.name"),
        ({"artifacts": {"kind": "s3"}}, "artifacts.s3.url"),
        ({"modelCache": {"enabled": True}}, "modelCache.components"),
    ],
    ids=lambda part: part if isinstance(part, str) else None,
)
def test_values_that_do_not_go_together_fail_lint_and_rendering_by_the_name_of_what_is_missing(
    values: dict[str, Any], named: str
) -> None:
    told = f"at '/{named.replace('.', '/')}'"
    assert told in lint(values)[0]
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(told)):
        render(values)


def test_a_gateway_may_be_open_where_that_was_said() -> None:
    assert lint({"gateway": {"service": {"type": "LoadBalancer"}, "openToAnybody": True}}) == []


def test_a_value_of_no_kind_is_anywhere_free() -> None:
    """What holds values names all of them, but for maps whose names are the operator's."""
    free = {"global", "affinity", "podSelector", "namespaceSelector"}
    assert {name for name, field in _objects(SCHEMA, "") if not _closed(field)} - free == set()


def _objects(part: Any, name: str) -> Any:
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield name, part
        for inner, field in part.items():
            yield from _objects(field, inner)
    elif isinstance(part, list):
        for field in part:
            yield from _objects(field, name)


def _closed(field: dict[str, Any]) -> bool:
    lists_of_objects = field.get("required") == ["name"] or set(field) == {"type"}
    return "additionalProperties" in field or lists_of_objects


def test_the_schema_is_one_and_the_defaults_keep_to_it_and_leave_nothing_out() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(defaults())
    assert _names(SCHEMA, ()) - {("global",)} == _given(defaults(), ())


def _names(part: dict[str, Any], path: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Every value that the schema names, but for those of single stages."""
    inner = SCHEMA["$defs"]["stage"] if part.get("$ref") == "#/$defs/stage" else part
    if "properties" not in inner or path[-1:] == ("settings",):
        return {path}
    return {name for field, value in inner["properties"].items() for name in _names(value, (*path, field))} - HOSTS


def _given(values: Any, path: tuple[str, ...]) -> set[tuple[str, ...]]:
    free = path in _names(SCHEMA, ())
    if free or not isinstance(values, dict):
        return {path}
    return {name for field, value in values.items() for name in _given(value, (*path, field))}


HOSTS = {("stageDefaults", "hosts")}
"""No stage can do without its own."""


def test_what_the_code_says_is_in_the_schema_and_the_page_and_was_written_by_the_script(tmp_path: Path) -> None:
    """`make docs` writes both."""
    (tmp_path / "values.yaml").write_text((CHART / "values.yaml").read_text())
    (tmp_path / "values.schema.json").write_text((CHART / "values.schema.json").read_text())
    page = tmp_path / "kubernetes.md"
    page.write_text((ROOT / "docs" / "kubernetes.md").read_text())
    subprocess.run([sys.executable, ROOT / "build" / "chart.py", tmp_path, page], check=True)
    assert (tmp_path / "values.schema.json").read_text() == (CHART / "values.schema.json").read_text()
    assert page.read_text() == (ROOT / "docs" / "kubernetes.md").read_text()
    assert page.read_text().count("\n| `") > 100
    assert set(CATALOG) == set(SCHEMA["properties"]["models"]["properties"]["served"]["items"]["enum"])


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == version("orrery-serve")
