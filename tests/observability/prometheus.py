"""A real Prometheus: Debian's package, unpacked into a folder of this checkout where it is not installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from orrery.embedded.settings import free_ports

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".orrery" / "cache" / "prometheus"
ALERTS = ROOT / "helm" / "orrery" / "files" / "alerts.yaml"
DASHBOARD = ROOT / "helm" / "orrery" / "files" / "dashboard.json"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`. Raises `CalledProcessError` where apt knows no such package."""
    installed = shutil.which(name)
    if installed:
        return installed
    unpacked = CACHE / "usr" / "bin" / name
    if not unpacked.exists():
        _unpack()
    return str(unpacked)


def _unpack() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    if not _downloaded():
        # A fresh machine has no lists of packages.
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "download", "-qq", "prometheus"], check=True, cwd=CACHE)
    package = next(CACHE.glob("prometheus_*.deb"))
    subprocess.run(["dpkg", "-x", package, CACHE], check=True)
    package.unlink()


def _downloaded() -> bool:
    return subprocess.run(["apt-get", "download", "-qq", "prometheus"], check=False, cwd=CACHE).returncode == 0


@dataclass(frozen=True)
class Prometheus:
    client: httpx.Client

    def values(self, expression: str) -> list[float]:
        """Of the samples of an instant vector, as of now. Raises `AssertionError` with what is wrong with the expression."""
        answer = self.client.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return [float(sample["value"][1]) for sample in answer["data"]["result"]]

    def names(self) -> set[str]:
        return set(self.client.get("/api/v1/label/__name__/values").json()["data"])

    def pages(self) -> dict[str, str]:
        """What every process but Triton shows at this moment, by its address."""
        targets = self.client.get("/api/v1/targets").json()["data"]["activeTargets"]
        urls = [target["scrapeUrl"] for target in targets if target["labels"]["job"] != "triton"]
        return {url: httpx.get(url, trust_env=False).raise_for_status().text for url in urls}

    def rules(self) -> list[dict[str, Any]]:
        groups = self.client.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def scraping(folder: Path, targets: Path) -> Iterator[Prometheus]:
    """One that scrapes every second what `targets` names, with our alerts as its rules."""
    folder.mkdir()
    (port,) = free_ports(1)
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "2s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "orrery", "file_sd_configs": [{"files": [str(targets)]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
    }
    command = [program("prometheus"), *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "prometheus.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            _until_ready(client, folder / "prometheus.log")
            yield Prometheus(client)
    finally:
        process.terminate()
        process.wait(20)


def _until_ready(client: httpx.Client, log: Path, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if client.get("/-/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError(log.read_text())
