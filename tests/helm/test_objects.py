"""What the chart renders is what Kubernetes, KEDA, the Gateway API and the Prometheus operator take."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from jsonschema import ValidationError

from helm.chart import CHART, EVERYTHING, NAMESPACE, PRESETS, RELEASE, VARIANTS, lint, one, render, rendered
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


def test_what_a_stage_says_counts_more_than_what_holds_for_all_also_where_it_is_no_or_nothing() -> None:
    values = {
        "stageDefaults": {"scaling": {"enabled": True}, "gpu": {"count": 1}, "nodeSelector": {"a": "b"}, "replicas": 3},
        "stages": {
            "publisher": {"scaling": {"enabled": False}, "gpu": {"count": 0}, "replicas": 0, "nodeSelector": {"c": "d"}}
        },
    }
    publisher = one(render(values), "Deployment", "publisher")["spec"]
    assert publisher["replicas"] == 0
    assert publisher["template"]["spec"]["containers"][0]["image"] == "orrery/stage:0.1.0"
    assert publisher["template"]["spec"]["nodeSelector"] == {"a": "b", "c": "d"}


def test_an_upgrade_changes_nothing_that_kubernetes_keeps_as_it_was() -> None:
    """Selectors and the claims of a StatefulSet are for ever; a Job too, which therefore has another name."""

    def kept(values: dict[str, Any]) -> dict[str, Any]:
        made = {"modelCache": {"enabled": True, "components": {"t5-11b": "text_encoder"}}}
        return {
            f"{item['kind']} {item['metadata']['name']}": [
                item["spec"].get(name) for name in ("selector", "serviceName", "volumeClaimTemplates")
            ]
            for item in render({**made, **values})
            if item["kind"] in {"Deployment", "StatefulSet", "Job"}
        }

    before, after = kept({}), kept({"image": {"tag": "0.2.0"}, "stageDefaults": {"replicas": 2}})
    jobs = {name for name in before | after if name.startswith("Job")}
    assert len(jobs) == 2
    assert {name: was for name, was in before.items() if name not in jobs} == {
        name: now for name, now in after.items() if name not in jobs
    }
    selected = [selector["matchLabels"] for selector, *_ in before.values() if selector]
    assert {key.rpartition("/")[2] for labels in selected for key in labels} == {"name", "instance", "component"}


def test_what_is_packed_renders_the_same(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)
    with helm_python.Chart.load(archive) as packed:
        assert packed.render(dict(EVERYTHING), name=RELEASE, namespace=NAMESPACE) == rendered(EVERYTHING)


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
