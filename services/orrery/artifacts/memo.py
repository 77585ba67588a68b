"""The key under which a task's outputs are remembered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from orrery.worlds.contracts import StageContract
from orrery.worlds.plan import ArtifactRef, Parameters, canonical


def memo_key(
    contract: StageContract, fingerprint: str | None, parameters: Parameters, inputs: Mapping[str, ArtifactRef]
) -> str:
    """SHA-256 of the stage and its version, the component's fingerprint, the parameters, and the inputs' digests."""
    identity = {
        "stage": contract.name,
        "version": contract.version,
        "component": fingerprint,
        "parameters": canonical(parameters),
        "inputs": {name: inputs[name].digest for name in sorted(inputs)},
    }
    return hashlib.sha256(json.dumps(identity, separators=(",", ":"), allow_nan=False).encode()).hexdigest()
