"""What the processes wrote while they worked: JSON lines that name job, task and trace, and nobody's prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from observability.conftest import TRACE, Observed

PROCESSES = ("gateway", "stage", "dispatcher")


def lines(observed: Observed, process: str) -> list[dict[str, Any]]:
    text = (observed.logs / f"{process}.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("process", PROCESSES)
def test_every_line_is_an_object_that_says_when_who_and_what(observed: Observed, process: str) -> None:
    found = lines(observed, process)
    assert found
    assert [line for line in found if not {"at", "level", "logger", "message"} <= set(line)] == []


@pytest.mark.parametrize("process", PROCESSES)
def test_a_job_and_its_trace_can_be_followed_through_the_logs(observed: Observed, process: str) -> None:
    traced = [line for line in lines(observed, process) if line.get("trace_id") == TRACE]
    assert {line.get("job") for line in traced} - {None} == {observed.traced["id"]}


def test_the_failure_of_a_task_names_the_task(observed: Observed) -> None:
    failed = [line for line in lines(observed, "stage") if line.get("trace_id") == TRACE and line["level"] == "warning"]
    assert {line["task"] for line in failed} <= {row["id"] for row in observed.traced["timeline"]}
    assert any("failed" in line["message"] for line in failed)


@pytest.mark.parametrize("process", PROCESSES)
def test_no_prompt_is_written(observed: Observed, process: str) -> None:
    text = (observed.logs / f"{process}.log").read_text()
    for prompt in ("a ball rolls over a table", "a cube falls", "many balls", "it moves"):
        assert prompt not in text
