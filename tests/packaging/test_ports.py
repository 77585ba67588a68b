"""The ports on which `orrery up` and the demo listen."""

from __future__ import annotations

import socket

import pytest

from orrery.embedded import settings


def test_they_differ_and_nobody_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = settings.free_ports(3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        monkeypatch.setattr(settings, "PORTS", (first, second, third))
        assert sorted(settings.free_ports(2)) == sorted((second, third))
