"""The pod security standard `restricted`, as far as a pod that Linux runs can go against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from helm.chart import Object, containers

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
HOST = ("hostNetwork", "hostPID", "hostIPC")
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: Object) -> list[str]:
    """What the standard forbids, and a root file system that can be written, which it does not."""
    return [*_of_the_pod(pod["spec"]), *(f"{one['name']}: {what}" for one in containers(pod) for what in _of_one(pod, one))]


def _of_the_pod(spec: dict[str, Any]) -> Iterator[str]:
    yield from (name for name in HOST if spec.get(name))
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']}"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls"


def _of_one(pod: Object, container: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = pod["spec"].get("securityContext", {}) | own
    yield from (name for name, wrong in FOR_EACH.items() if wrong(both if name in INHERITED else own))
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "hostPort"


def _capable(context: dict[str, Any]) -> bool:
    capabilities = context.get("capabilities", {})
    return "ALL" not in capabilities.get("drop", []) or bool(set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"})


INHERITED = {"runAsNonRoot", "runAsUser", "seccompProfile"}
FOR_EACH: dict[str, Callable[[dict[str, Any]], bool]] = {
    "runAsNonRoot": lambda context: context.get("runAsNonRoot") is not True,
    "runAsUser": lambda context: context.get("runAsUser") == 0,
    "seccompProfile": lambda context: context.get("seccompProfile", {}).get("type") not in SECCOMP,
    "privileged": lambda context: bool(context.get("privileged")),
    "allowPrivilegeEscalation": lambda context: context.get("allowPrivilegeEscalation") is not False,
    "capabilities": _capable,
    "readOnlyRootFilesystem": lambda context: context.get("readOnlyRootFilesystem") is not True,
}
"""By the field: whether a security context goes wrong there."""
