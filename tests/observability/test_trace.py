"""A job through HTTP, the job store and Triton is one trace, also when its Triton was killed under it."""

from __future__ import annotations

from observability.conftest import PARENT, TRACE, Observed


def test_the_job_is_one_trace_over_all_processes(observed: Observed) -> None:
    spans = [span for span in observed.collector.spans if span.trace == TRACE]
    known = {span.id for span in spans} | {PARENT}
    assert {span.service for span in spans} == {"orrery-gateway", "orrery-stage", "orrery-dispatcher"}
    assert {span.parent for span in spans} <= known
    (request,) = (span for span in spans if span.parent == PARENT)
    assert request.name == "POST /v1/videos"
    (submit,) = (span for span in spans if span.name == "submit")
    tasks = [span for span in spans if span.name.startswith("task ")]
    assert {span.parent for span in tasks} == {submit.id}
    assert {span.name.removeprefix("task ") for span in tasks} == {row["id"] for row in observed.traced["timeline"]}
    assert submit.parent == request.id
    (webhook,) = (span for span in spans if span.name == "webhook")
    assert webhook.parent == submit.id


def test_the_attempt_that_lost_its_triton_and_the_next_are_both_there(observed: Observed) -> None:
    spans = [span for span in observed.collector.spans if span.trace == TRACE]
    tried = sorted((span for span in spans if span.attributes.get("orrery.task.outcome") == "retried"), key=lambda s: s.start)
    assert [span.attributes["error.type"] for span in tried] == ["stage_unavailable"]
    again = next(s for s in spans if s.name == tried[0].name and s.attributes["orrery.task.attempt"] == 2)
    assert again.attributes["orrery.task.outcome"] == "done"
    assert int(again.attributes["orrery.task.from_step"]) >= 2
    for attempt, failed in ((tried[0], True), (again, False)):
        (call,) = (span for span in spans if span.parent == attempt.id)
        assert (call.name, call.error) == ("triton denoiser", failed)
        assert attempt.start <= call.start <= call.end <= attempt.end
