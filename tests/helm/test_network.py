"""Only the gateway is reached from outside, and what is inside reaches no more than it needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helm.chart import EVERYTHING, EXTERNAL_REDIS, S3
from helm.network import Network, Place, network_of

INTERNET = Place("internet", address="203.0.113.7")
TENANT = Place("tenant", {"app": "other"}, namespace="tenants")
NEIGHBOUR = Place("neighbour", {"app": "other"})
PROMETHEUS = Place("prometheus", {"app": "prometheus"}, namespace="monitoring")
KEDA = Place("keda", {"app": "keda-operator"}, namespace="keda")
NAMES = Place("kube-dns", {"k8s-app": "kube-dns"}, namespace="kube-system")
STAGES = ("guardrail", "text-encoder", "video-encoder", "denoiser", "video-decoder", "publisher")
PORTS = (22, 53, 80, 443, 4318, 6379, 8000, 8001, 8002, 8080, 9000, 9090, 9100)


@pytest.fixture(scope="module")
def network() -> Network:
    return network_of({})


def reached(network: Network, source: Place) -> set[tuple[str, int]]:
    """Every port of every pod of the release that a place may reach."""
    return {(name, port) for name, place in network.places.items() for port in PORTS if network.allows(source, place, port)}


@pytest.mark.parametrize("source", [INTERNET, TENANT, NEIGHBOUR], ids=lambda place: place.name)
def test_from_outside_only_the_gateway_is_reached(network: Network, source: Place) -> None:
    assert reached(network, source) == {("gateway", 8080), ("gateway", 8001)}


def test_triton_is_reached_by_nobody(network: Network) -> None:
    everybody = (INTERNET, TENANT, NEIGHBOUR, PROMETHEUS, KEDA, *network.places.values())
    stages = [network.places[name] for name in STAGES]
    assert not any(network.allows(source, stage, port) for source in everybody for stage in stages for port in (8000, 8001))


def test_keda_reads_the_depth_and_nothing_else_of_what_is_inside(network: Network) -> None:
    assert reached(network, KEDA) == {("gateway", 8080), ("gateway", 8001), ("dispatcher", 9100)}


def test_prometheus_reads_every_process(network: Network) -> None:
    stages = {(stage, port) for stage in STAGES for port in (9090, 8002)}
    assert reached(network, PROMETHEUS) == {("gateway", 8080), ("gateway", 8001), ("dispatcher", 9100)} | stages


@pytest.mark.parametrize("name", ["gateway", "dispatcher", *STAGES])
def test_a_process_reaches_the_job_store_and_nothing_else(network: Network, name: str) -> None:
    place = network.places[name]
    assert reached(network, place) == {("redis", 6379)}
    assert [port for port in PORTS if network.allows(place, INTERNET, port)] == []
    assert [port for port in PORTS if network.allows(place, NAMES, port)] == [53]


def test_names_may_be_resolved_by_a_cache_on_the_node() -> None:
    cache = Place("cache", address="169.254.20.10")
    network = network_of({"networkPolicy": {"namesAt": [{"ipBlock": {"cidr": "169.254.20.10/32"}}]}})
    assert [port for port in PORTS if network.allows(network.places["gateway"], cache, port)] == [53]
    assert not network.allows(network.places["gateway"], NAMES, 53)


def test_the_job_store_asks_nobody(network: Network) -> None:
    assert reached(network, network.places["redis"]) == set()
    assert not any(network.allows(network.places["redis"], INTERNET, port) for port in PORTS)


def test_the_test_reaches_the_gateway(network: Network) -> None:
    assert reached(network, network.places["test"]) == {("gateway", 8080)}


def test_another_release_beside_this_one_does_not_reach_its_job_store(network: Network) -> None:
    mine = network.places["denoiser"]
    other = replace(mine, labels={**mine.labels, "app.kubernetes.io/instance": "blue"})
    elsewhere = replace(mine, namespace="tenants")
    assert network.allows(mine, network.places["redis"], 6379)
    assert not network.allows(other, network.places["redis"], 6379)
    assert not network.allows(elsewhere, network.places["redis"], 6379)


def test_a_bucket_and_a_redis_elsewhere_open_their_ports_alone() -> None:
    for name in ("gateway", "dispatcher", "denoiser"):
        assert _outward(network_of(S3), name) == [9000]
        assert _outward(network_of(EXTERNAL_REDIS), name) == [6379]


def test_the_web_is_open_to_those_who_fetch_and_deliver() -> None:
    network = network_of(EVERYTHING)
    assert _outward(network, "gateway") == [80, 443, 4318]  # url_inputs
    assert _outward(network, "dispatcher") == [80, 443, 4318]  # webhooks
    assert _outward(network, "denoiser") == [4318]  # traces


def test_the_gateway_can_be_kept_to_a_part_of_the_network() -> None:
    network = network_of(EVERYTHING)
    assert reached(network, INTERNET) == set()
    assert reached(network, TENANT) == set()
    inside = Place("office", address="10.1.2.3")
    assert reached(network, inside) == {("gateway", 8080), ("gateway", 8001)}
    assert reached(network, network.places["test"]) == {("gateway", 8080)}
    assert ("gateway", 8080) in reached(network, PROMETHEUS)


def test_without_policies_everything_is_open() -> None:
    network = network_of({"networkPolicy": {"enabled": False}})
    assert network.policies == ()
    assert ("redis", 6379) in reached(network, INTERNET)


def _outward(network: Network, name: str) -> list[int]:
    return [port for port in PORTS if network.allows(network.places[name], INTERNET, port)]
