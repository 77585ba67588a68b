"""The committed model repository is what the contracts say, and Triton's own parser agrees."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from orrery.backend.repository import repository_files
from orrery.worlds.contracts import CONTRACTS, ENSEMBLES, StageContract

REPOSITORY = Path(__file__).parents[2] / "model_repository"


def config(name: str) -> model_config_pb2.ModelConfig:
    text = (REPOSITORY / name / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_the_committed_files_are_the_generated_ones() -> None:
    committed = {str(p.relative_to(REPOSITORY)): p.read_text() for p in REPOSITORY.rglob("*") if p.is_file()}
    assert committed == repository_files()


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda c: c.name)
def test_a_config_says_what_the_contract_says(contract: StageContract) -> None:
    parsed = config(contract.name)
    inputs = [(i.name, model_config_pb2.DataType.Name(i.data_type), tuple(i.dims), i.optional) for i in parsed.input]
    assert inputs == [(t.name, f"TYPE_{t.dtype}", t.dims, t.optional) for t in contract.triton_inputs]
    outputs = [(o.name, model_config_pb2.DataType.Name(o.data_type), tuple(o.dims)) for o in parsed.output]
    assert outputs == [(t.name, f"TYPE_{t.dtype}", t.dims) for t in contract.triton_outputs]
    assert parsed.model_transaction_policy.decoupled == contract.decoupled
    assert (parsed.backend, parsed.max_batch_size) == ("python", 0)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_an_ensemble_feeds_every_required_input_of_its_steps(name: str) -> None:
    parsed = config(name)
    made = {i.name for i in parsed.input}
    for step in parsed.ensemble_scheduling.step:
        contract = CONTRACTS[step.model_name]
        required = {t.name for t in contract.triton_inputs if not t.optional}
        assert required <= set(step.input_map) <= {t.name for t in contract.triton_inputs}
        assert set(step.input_map.values()) <= made
        made |= set(step.output_map.values())
    assert {o.name for o in parsed.output} <= made
    # What the members call through BLS must be on the same server too.
    assert {step.model_name for step in parsed.ensemble_scheduling.step} <= set(ENSEMBLES[name])


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_framework_file_is_three_lines(name: str) -> None:
    assert len((REPOSITORY / name / "1" / "model.py").read_text().splitlines()) == 3
