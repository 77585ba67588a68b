"""Whatever an object names is there: pods that selectors find, ports, volumes, accounts, services behind routes."""

from __future__ import annotations

import pytest

from helm.chart import VARIANTS, Object, containers, pods, render


@pytest.fixture(params=VARIANTS, scope="module")
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return render(VARIANTS[request.param])


def found(objects: list[Object], selector: dict[str, str]) -> list[tuple[str, Object]]:
    return [(name, pod) for name, pod in pods(objects) if selector.items() <= pod["metadata"]["labels"].items()]


def port_names(pod: Object) -> set[str]:
    return {port["name"] for one in containers(pod) for port in one.get("ports", [])}


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [item for item in objects if item["kind"] in kinds]


def test_every_service_leads_to_the_pods_of_its_name_and_to_ports_of_theirs(objects: list[Object]) -> None:
    for service in of_kind(objects, "Service"):
        ((name, pod),) = found(objects, service["spec"]["selector"])
        assert name == service["metadata"]["name"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= port_names(pod)


def test_every_workload_and_every_budget_selects_its_own_pods_alone(objects: list[Object]) -> None:
    items = of_kind(objects, "Deployment", "StatefulSet", "PodDisruptionBudget")
    assert len(items) > 10
    for item in items:
        names = [name for name, _ in found(objects, item["spec"]["selector"]["matchLabels"])]
        assert names == [item["metadata"]["name"]]


def test_every_probe_asks_a_port_of_its_container(objects: list[Object]) -> None:
    for _, pod in pods(objects):
        for container in containers(pod):
            probes = [
                container[name]["httpGet"] for name in container if name.endswith("Probe") and "httpGet" in container[name]
            ]
            assert {probe["port"] for probe in probes} <= {port["name"] for port in container.get("ports", [])}


def test_every_process_that_goes_on_is_watched(objects: list[Object]) -> None:
    for item in of_kind(objects, "Deployment", "StatefulSet"):
        (container,) = item["spec"]["template"]["spec"]["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_every_mount_has_its_volume_and_every_volume_is_there(objects: list[Object]) -> None:
    claims = {item["metadata"]["name"] for item in of_kind(objects, "PersistentVolumeClaim")}
    maps = {item["metadata"]["name"] for item in of_kind(objects, "ConfigMap")}
    for name, pod in pods(objects):
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        mounted = {mount["name"] for one in containers(pod) for mount in one["volumeMounts"]}
        assert mounted - set(volumes) == ({"data"} if name.endswith("-redis") else set())
        assert set(volumes) <= mounted
        assert {v["configMap"]["name"] for v in volumes.values() if "configMap" in v} <= maps
        assert {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v} <= claims


def test_whatever_scales_scales_something(objects: list[Object]) -> None:
    deployments = {item["metadata"]["name"]: item for item in of_kind(objects, "Deployment")}
    scaled = {item["spec"]["scaleTargetRef"]["name"] for item in of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")}
    # Who scales a Deployment says how many; an upgrade that said so too would take that back.
    assert scaled == {name for name, item in deployments.items() if "replicas" not in item["spec"]}


def test_routes_lead_to_the_gateway(objects: list[Object]) -> None:
    (gateway,) = [item for item in of_kind(objects, "Service") if item["metadata"]["name"] == "orrery-gateway"]
    ports = {port["name"]: port["port"] for port in gateway["spec"]["ports"]}
    for route, port in (("HTTPRoute", "http"), ("GRPCRoute", "grpc")):
        for item in of_kind(objects, route):
            assert item["spec"]["rules"] == [{"backendRefs": [{"name": "orrery-gateway", "port": ports[port]}]}]
    for item in of_kind(objects, "Ingress"):
        (path,) = item["spec"]["rules"][0]["http"]["paths"]
        assert path["backend"]["service"] == {"name": "orrery-gateway", "port": {"name": "http"}}


def test_prometheus_scrapes_every_process(objects: list[Object]) -> None:
    monitors = of_kind(objects, "ServiceMonitor")
    services = of_kind(objects, "Service")
    scraped = {
        service["metadata"]["name"]
        for monitor in monitors
        for service in services
        if monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        and {end["port"] for end in monitor["spec"]["endpoints"]} & {port["name"] for port in service["spec"]["ports"]}
    }
    assert scraped == ({item["metadata"]["name"] for item in services} - {"orrery-redis"} if monitors else set())
