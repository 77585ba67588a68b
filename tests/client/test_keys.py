"""`orrery keys`, and an `orrery up` that others could reach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orrery.client.cli import app
from orrery.gateway.edge.keys import KeyRing

RUNNER = CliRunner()


def test_what_is_printed_can_be_appended_to_the_file(tmp_path: Path) -> None:
    quotas = ["--jobs", "5", "--concurrent", "2", "--device-seconds", "1.5", "--model", "m1", "--model", "m2"]
    first = RUNNER.invoke(app, ["keys", "new", "--tenant", "a", "--admin"])
    second = RUNNER.invoke(app, ["keys", "new", "--tenant", "b", *quotas])
    path = tmp_path / "keys.toml"
    path.write_text(first.stdout + second.stdout)
    secret = first.stderr.split()[-1]
    assert secret not in first.stdout
    ring = KeyRing(path)
    assert (ring.find(secret).tenant, ring.find(secret).admin) == ("a", True)
    key = ring.find(second.stderr.split()[-1])
    assert (key.models, key.admin, key.quota.jobs, key.quota.concurrent) == (("m1", "m2"), False, 5, 2)
    assert (key.quota.device_seconds, key.quota.window_seconds) == (1.5, 3600)


def test_json_has_both(tmp_path: Path) -> None:
    told = json.loads(RUNNER.invoke(app, ["keys", "new", "--tenant", "a", "--json"]).stdout)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [told["entry"]]}))
    assert KeyRing(tmp_path / "keys.json").find(told["key"]).tenant == "a"


@pytest.mark.parametrize("wrong", [["--tenant", "../a"], ["--tenant", "a", "--jobs", "-1"], []])
def test_wrong_options_are_refused(wrong: list[str]) -> None:
    assert RUNNER.invoke(app, ["keys", "new", *wrong]).exit_code == 2


def test_nothing_starts_that_others_could_use_without_a_key(tmp_path: Path) -> None:
    refused = RUNNER.invoke(app, ["up", "--home", str(tmp_path / "home"), "--host", "0.0.0.0"])
    assert refused.exit_code == 2
    assert "ORRERY_API_KEYS_FILE" in refused.stderr.replace("\n", "")
    assert not (tmp_path / "home").exists()
