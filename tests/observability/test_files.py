"""What is shipped beside the chart and compose is what the code says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

from observability.prometheus import DASHBOARD, ROOT
from orrery.dispatcher.settings import DispatcherSettings
from orrery.worker.settings import StageEnvironment
from orrery.worlds.environment import DEFAULT_PORT

SCRAPED = yaml.safe_load((ROOT / "observability" / "prometheus.yml").read_text())["scrape_configs"]


def test_the_committed_dashboard_is_the_generated_one(tmp_path: Path) -> None:
    """`make docs` writes it."""
    made = tmp_path / "dashboard.json"
    subprocess.run([sys.executable, ROOT / "build" / "dashboard.py", made], check=True)
    assert made.read_text() == DASHBOARD.read_text()


def test_every_panel_has_a_place_and_names_of_its_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in _cells(panel["gridPos"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23
    for panel in panels:
        letters = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(letters)) == len(letters)


def _cells(place: dict[str, int]) -> list[tuple[int, int]]:
    return [(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])]


def test_the_metrics_of_the_guide_are_those_of_the_code(tmp_path: Path) -> None:
    """`make docs` writes them."""
    committed = (ROOT / "docs" / "operations.md").read_text()
    (tmp_path / "operations.md").write_text(committed)
    subprocess.run([sys.executable, ROOT / "build" / "operations.py", tmp_path / "operations.md"], check=True)
    assert (tmp_path / "operations.md").read_text() == committed
    assert committed.count("| `orrery_") > 30


def test_prometheus_beside_compose_looks_where_the_processes_listen() -> None:
    ports = {one["job_name"]: one["dns_sd_configs"][0]["port"] for one in SCRAPED}
    assert ports == {
        "gateway": DEFAULT_PORT,
        "dispatcher": DispatcherSettings.model_fields["port"].default,
        "stage": StageEnvironment.model_fields["metrics_port"].default,
        "triton": StageEnvironment.model_fields["triton_metrics_port"].default,
    }


def test_prometheus_beside_compose_looks_at_every_service_that_has_metrics() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    images = {name: service["image"].partition(":")[0] for name, service in services.items()}
    stages = {name for name, image in images.items() if image == "orrery/stage"}
    found = {one["job_name"]: set(one["dns_sd_configs"][0]["names"]) for one in SCRAPED}
    assert found == {"gateway": {"gateway"}, "dispatcher": {"dispatcher"}, "stage": stages, "triton": stages}
