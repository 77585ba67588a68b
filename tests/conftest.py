"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.lora import with_loras
from e2e.stack import Stack, running
from orrery.embedded.settings import free_ports
from stages.language_model import LanguageModel, listening
from tiny import built

MODELS = ("tiny-predict2", "tiny-predict2-distilled", "tiny-predict2-natten", "tiny-predict1", "tiny-predict25")
"""What the shared Orrery serves, its default first."""


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny components. Tests that change some do it to a copy."""
    return built(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def triton_http_port() -> int:
    """Where the shared Orrery's Triton speaks HTTP."""
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def language_model() -> Iterator[LanguageModel]:
    """Whom the shared Orrery asks to rewrite prompts."""
    with listening() as model:
        yield model


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Path, triton_http_port: int, language_model: LanguageModel
) -> Iterator[Stack]:
    """One Orrery for all tests that need no other: every tiny model, LoRAs, every door open: HTTP, gRPC, Triton's own two."""
    home, port = tmp_path_factory.mktemp("orrery"), str(triton_http_port)
    told = {
        "ORRERY_WEBHOOK_ALLOW_PRIVATE": "true",
        "ORRERY_PROMPT_UPSAMPLING": "on_request",
        "ORRERY_UPSAMPLER_URL": language_model.url,
        "ORRERY_UPSAMPLER_MODEL": "reason1-7b",
        "ORRERY_UPSAMPLER_API_KEY": "sesame",
    }
    served = with_loras(models_dir, tmp_path_factory.mktemp("served"))
    with running(home, served, "--triton-http-port", port, models=MODELS, ensemble=True, **told) as started:
        yield started
