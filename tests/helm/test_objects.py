"""What the chart renders is what Kubernetes, KEDA, the Gateway API and the Prometheus operator take."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError

from helm.chart import CHART, EVERYTHING, NAMESPACE, PRESETS, VARIANTS, lint, one, render, rendered
from helm.validation import CUSTOM, validate


@pytest.fixture(params=VARIANTS, scope="module")
def values(request: pytest.FixtureRequest) -> Any:
    return VARIANTS[request.param]


def test_the_values_pass_lint(values: Any) -> None:
    assert lint(values) == []


def test_every_object_is_valid(values: Any) -> None:
    objects = render(values)
    assert len(objects) > 20
    for item in objects:
        validate(item)


def test_no_two_objects_have_one_name_and_all_lie_in_the_namespace(values: Any) -> None:
    objects = render(values)
    counted = Counter((item["kind"], item["metadata"]["name"]) for item in objects)
    assert [name for name, count in counted.items() if count > 1] == []
    assert {item["metadata"]["namespace"] for item in objects} == {NAMESPACE}


def test_the_validator_refuses_what_is_wrong() -> None:
    objects = render(EVERYTHING)
    scaled = one(objects, "ScaledObject", "denoiser")
    with pytest.raises(ValidationError, match="maxReplica"):
        validate(scaled | {"spec": scaled["spec"] | {"maxReplica": 3}})
    deployment = one(objects, "Deployment", "gateway")
    with pytest.raises(ValidationError, match="replica"):
        validate(deployment | {"spec": deployment["spec"] | {"replica": 3}})


def test_everything_that_is_custom_is_rendered_and_so_validated() -> None:
    kinds = {(item["apiVersion"], item["kind"]) for item in render(EVERYTHING)}
    assert kinds >= CUSTOM


def test_alerts_and_dashboard_are_those_that_compose_has() -> None:
    """Helm reads them as they are, though they have templates of Prometheus and Grafana in them."""
    objects = render(EVERYTHING)
    assert one(objects, "PrometheusRule", "alerts")["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    (dashboard,) = one(objects, "ConfigMap", "dashboard")["data"].values()
    assert json.loads(dashboard) == json.loads((CHART / "files" / "dashboard.json").read_text())


def test_each_stage_is_a_deployment_a_headless_service_and_a_disruption_budget() -> None:
    objects = render({})
    for stage in ("guardrail", "text-encoder", "video-encoder", "denoiser", "video-decoder", "publisher"):
        assert one(objects, "Deployment", stage)["spec"]["replicas"] == 1
        assert one(objects, "Service", stage)["spec"]["clusterIP"] == "None"
        assert one(objects, "PodDisruptionBudget", stage)["spec"]["maxUnavailable"] == 1


def test_a_stage_of_ones_own_is_one_entry() -> None:
    """One pod that hosts three of the models takes the place of three."""
    objects = render(VARIANTS["gpu-h100"])
    stage = one(objects, "Deployment", "encoders")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "ORRERY_STAGES", "value": "text_encoder,video_encoder,video_decoder"} in stage["env"]
    assert "orrery-text-encoder" not in {item["metadata"]["name"] for item in objects}


def test_a_release_by_another_name_has_no_object_of_this_one() -> None:
    names = {item["metadata"]["name"] for item in render({}, release="blue")}
    assert all(name.startswith("blue-orrery-") for name in names)


def test_notes_say_what_is_scaled_and_who_may_call() -> None:
    notes = rendered({})["orrery/templates/NOTES.txt"]
    assert "helm test orrery --namespace worlds" in notes
    assert "Nobody is asked for an API key" in notes
    assert "No stage is scaled by its work" in notes
    assert "denoiser (0 to 4)" in rendered(VARIANTS["scale-to-zero"])["orrery/templates/NOTES.txt"]
    assert "API key" not in rendered(EVERYTHING)["orrery/templates/NOTES.txt"]


def test_there_are_presets_for_the_cards_of_the_published_tables() -> None:
    assert set(PRESETS) >= {"gpu-l40s", "gpu-h100", "gpu-h200", "gpu-b200", "scale-to-zero"}
