"""One Orrery under load, watched by a real Prometheus and a receiver of traces."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.stack import GATEWAYS_STAGES, running
from observability import load
from observability.prometheus import Prometheus, scraping
from orrery.embedded.up import TARGETS
from telemetry.collector import Collector, collecting

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SCRAPES_SECONDS = 4.0
"""After the load, so that every process is scraped with its last numbers, and has sent its last spans."""


@dataclass(frozen=True)
class Observed:
    prometheus: Prometheus
    collector: Collector
    traced: dict[str, Any]
    logs: Path


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Observed]:
    """All of it still runs."""
    home = tmp_path_factory.mktemp("observed")
    with pytest.MonkeyPatch.context() as patch, collecting() as collector:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "500",
            "ORRERY_CHECKPOINT_STEPS": "2",
            "ORRERY_WEBHOOK_ALLOW_PRIVATE": "true",
            "ORRERY_GENERATION_TIMEOUT_SECONDS": "1",
            # Served, so that all metrics are there; nobody asks it.
            "ORRERY_PROMPT_UPSAMPLING": "on_request",
            "ORRERY_UPSAMPLER_URL": "http://127.0.0.1:9",
            "ORRERY_UPSAMPLER_MODEL": "nobody",
        }
        for name, value in told.items():
            patch.setenv(name, value)
        stages = ",".join((*GATEWAYS_STAGES, "prompt_upsampler"))
        with (
            running(home, models_dir, ORRERY_STAGES=stages) as stack,
            scraping(home / "prometheus", home / TARGETS) as prometheus,
        ):
            traced = load.run(stack, f"{collector.url}/hook", f"00-{TRACE}-{PARENT}-01")
            time.sleep(SCRAPES_SECONDS)
            assert [value for value in prometheus.values("up") if value != 1] == []
            yield Observed(prometheus, collector, traced, home / "logs")
