"""Where `orrery up` and the demo keep their things, and the ports on which they listen."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orrery.client.exits import Exit
from orrery.embedded import settings


def test_they_differ_and_nobody_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = settings.free_ports(3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        monkeypatch.setattr(settings, "PORTS", (first, second, third))
        assert sorted(settings.free_ports(2)) == sorted((second, third))


def test_a_home_in_which_triton_cannot_run_is_refused_at_once(tmp_path: Path) -> None:
    home = tmp_path / "it's home"
    up = [sys.executable, "-m", "orrery.client.cli", "up", "--home", str(home)]
    done = subprocess.run(up, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, home.exists()) == (Exit.BAD_REQUEST, False)
    assert "field home; allowed: a path without '" in done.stderr
