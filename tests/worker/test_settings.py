"""What a stage process is told about an endpoint, and which pools it serves then."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orrery.backend.settings import environment_of, settings_from
from orrery.client.stage import hosted, stage_settings
from orrery.worker.process import pools_served
from orrery.worker.settings import UNASKED, StageEnvironment
from orrery.worlds.environment import from_environment
from orrery.worlds.upsampling import Fail

NEEDED = {"REDIS_URL": "redis://none", "ARTIFACTS_URL": "memory://", "RUN_DIR": "/tmp/run"}
ENDPOINT = {"UPSAMPLER_URL": "http://vllm:8000/v1", "UPSAMPLER_MODEL": "reason1"}


def told(**variables: str) -> StageEnvironment:
    """The process's settings, after its own choice of what to host."""
    return hosted(from_environment(StageEnvironment, {f"ORRERY_{k}": v for k, v in {**NEEDED, **variables}.items()}))


def asked(settings: StageEnvironment) -> tuple[str, ...] | None:
    return pools_served(settings, {}).get("prompt_upsampler")


def test_without_an_endpoint_nobody_upsamples() -> None:
    settings = told()
    assert asked(settings) is None
    assert "prompt_upsampler" not in settings.stages
    assert set(UNASKED) <= set(settings.stages)


def test_an_endpoint_is_asked_with_every_template_or_with_those_that_its_model_knows() -> None:
    assert asked(told(**ENDPOINT)) == tuple(
        f"prompt_upsampler/{name}" for name in ("pixtral-12b", "reason1-7b", "upsample-prompt1-12b")
    )
    assert asked(told(**ENDPOINT, UPSAMPLER_TEMPLATES="reason1-7b")) == ("prompt_upsampler/reason1-7b",)


def test_a_process_that_was_told_its_stages_hosts_no_other() -> None:
    assert asked(told(**ENDPOINT, STAGES="denoiser")) is None
    assert asked(told(**ENDPOINT, STAGES="prompt_upsampler", UPSAMPLER_TEMPLATES="reason1-7b")) is not None


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"STAGES": "prompt_upsampler"}, "upsampler_url"),
        ({"UPSAMPLER_URL": "http://vllm:8000/v1"}, "upsampler_model"),
        ({"UPSAMPLER_MODEL": "reason1"}, "upsampler_url"),
        ({**ENDPOINT, "UPSAMPLER_URL": "vllm:8000"}, "upsampler_url"),
        ({**ENDPOINT, "UPSAMPLER_URL": "http://me:secret@vllm/v1"}, "upsampler_url"),
        ({**ENDPOINT, "UPSAMPLER_SECONDS": "0"}, "upsampler_seconds"),
        ({**ENDPOINT, "UPSAMPLER_FAIL": "perhaps"}, "upsampler_fail"),
        ({**ENDPOINT, "UPSAMPLER_TEMPLATES": "sora"}, "upsampler_templates"),
        ({**ENDPOINT, "UPSAMPLER_TEMPLATES": ""}, "upsampler_templates"),
    ],
)
def test_what_does_not_fit_together_is_refused_at_the_start(variables: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        told(**variables)


def test_the_stages_inside_triton_are_told_the_same_and_the_key_is_shown_by_nothing() -> None:
    settings = told(**ENDPOINT, UPSAMPLER_SECONDS="2.5", UPSAMPLER_FAIL="closed", UPSAMPLER_API_KEY="sesame")
    stages = stage_settings(settings)
    assert settings_from(environment_of(stages)) == stages
    assert stages.upsampler is not None
    assert (stages.upsampler.seconds, stages.upsampler.fail, stages.upsampler.api_key) == (2.5, Fail.CLOSED, "sesame")
    assert "sesame" not in repr(settings) + repr(stages)
    assert settings_from(environment_of(stage_settings(told()))).upsampler is None
