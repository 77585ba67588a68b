"""Who may reach whom, by the rules of NetworkPolicies: what they allow adds up, and what one selects is otherwise closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from helm.chart import NAMESPACE, Object, containers, pods, render

Rule = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A pod, or with an `address` something outside the cluster. `ports` are those of a pod by name."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE
    address: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    places: Mapping[str, Place]
    policies: tuple[Object, ...]

    def allows(self, source: Place, target: Place, port: int) -> bool:
        """Whether a TCP connection comes about: both ends must let it."""
        return self._passes("egress", source, target, target, port) and self._passes("ingress", target, source, target, port)

    def _passes(self, way: str, guarded: Place, other: Place, target: Place, port: int) -> bool:
        mine = [policy["spec"] for policy in self.policies if self._guards(policy, guarded, way)]
        return not mine or any(_lets(rule, way, other, target, port) for spec in mine for rule in spec.get(way, []))

    def _guards(self, policy: Object, place: Place, way: str) -> bool:
        spec = policy["spec"]
        here = place.address is None and place.namespace == policy["metadata"]["namespace"]
        return here and way.capitalize() in spec["policyTypes"] and _selects(spec["podSelector"], place.labels)


def network_of(values: Mapping[str, Any]) -> Network:
    """The pods and policies of a release with these values; pods by the names of what makes them, less the release's."""
    objects = render(values)
    places = {name.partition("-")[2]: Place(name, pod["metadata"]["labels"], ports=_ports(pod)) for name, pod in pods(objects)}
    return Network(places, tuple(item for item in objects if item["kind"] == "NetworkPolicy"))


def _ports(pod: Object) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for one in containers(pod) for port in one.get("ports", [])}


def _lets(rule: Rule, way: str, other: Place, target: Place, port: int) -> bool:
    peers = rule.get("from" if way == "ingress" else "to", [])
    return _meant(rule.get("ports", []), target, port) and (not peers or any(_is(peer, other) for peer in peers))


def _meant(ports: Iterable[Rule], target: Place, port: int) -> bool:
    tcp = [entry for entry in ports if entry.get("protocol", "TCP") == "TCP"]
    return not list(ports) or any(target.ports.get(entry["port"], entry["port"]) == port for entry in tcp)


def _is(peer: Rule, place: Place) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        inside = place.address is not None and ip_address(place.address) in ip_network(block["cidr"])
        return inside and not any(ip_address(str(place.address)) in ip_network(cidr) for cidr in block.get("except", []))
    if place.address is not None:
        return False
    where = peer.get("namespaceSelector")
    labels = {"kubernetes.io/metadata.name": place.namespace}
    return (place.namespace == NAMESPACE if where is None else _selects(where, labels)) and _selects(
        peer.get("podSelector", {}), place.labels
    )


def _selects(selector: Rule, labels: Mapping[str, str]) -> bool:
    if set(selector) - {"matchLabels"}:
        raise NotImplementedError(f"selectors are read by their labels alone: {selector}")
    return selector.get("matchLabels", {}).items() <= labels.items()
