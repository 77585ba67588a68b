"""From a stage's contract to the text of Triton's `config.pbtxt`."""

from __future__ import annotations

from orrery.worlds.contracts import StageContract, Tensor

_INSTANCES = "instance_group {\n  count: 1\n  kind: KIND_CPU\n}"
"""One process for each stage. Any other kind would be one for each GPU that Triton sees; a stage takes its tensors from the
host's memory, and its device from its settings."""


def config_pbtxt(contract: StageContract) -> str:
    """The configuration of a stage as a Python-backend model. Batching is off: a request is one task."""
    parts = [
        f'name: "{contract.name}"',
        'backend: "python"',
        "max_batch_size: 0",
        *(_tensor("input", tensor) for tensor in contract.triton_inputs),
        *(_tensor("output", tensor) for tensor in contract.triton_outputs),
        _INSTANCES,
    ]
    if contract.decoupled:
        parts.append("model_transaction_policy {\n  decoupled: true\n}")
    return _document(parts)


def ensemble_pbtxt(name: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], steps: tuple[str, ...]) -> str:
    """An ensemble of the given steps."""
    parts = [
        f'name: "{name}"',
        'platform: "ensemble"',
        "max_batch_size: 0",
        *(_tensor("input", tensor) for tensor in inputs),
        *(_tensor("output", tensor) for tensor in outputs),
        "ensemble_scheduling {\n" + "".join(steps) + "}",
    ]
    return _document(parts)


def ensemble_step(model: str, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    """One step; `inputs` and `outputs` map the model's tensor names to the ensemble's."""
    lines = ["  step {", f'    model_name: "{model}"', "    model_version: -1"]
    for field, names in (("input_map", inputs), ("output_map", outputs)):
        lines += [f'    {field} {{ key: "{own}" value: "{shared}" }}' for own, shared in names.items()]
    return "\n".join([*lines, "  }"]) + "\n"


def _tensor(field: str, tensor: Tensor) -> str:
    dims = ", ".join(str(dim) for dim in tensor.dims)
    lines = [f"{field} {{", f'  name: "{tensor.name}"', f"  data_type: TYPE_{tensor.dtype.value}", f"  dims: [{dims}]"]
    if tensor.optional and field == "input":
        lines.append("  optional: true")
    return "\n".join([*lines, "}"])


def _document(parts: list[str]) -> str:
    return "# Generated from orrery.worlds.contracts by `make config`; do not edit.\n" + "\n".join(parts) + "\n"
