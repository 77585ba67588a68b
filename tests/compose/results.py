"""What these tests measure, for who reads their output and for documents that quote it."""

from __future__ import annotations

import json
from pathlib import Path

from compose.engine import ROOT

FILE: Path = ROOT / "bench-results" / "compose.json"


class Results:
    """Numbers by name, with the unit as the end of the name."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def note(self, name: str, number: float) -> None:
        self.numbers[name] = round(number, 2)

    def write(self) -> None:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(self.numbers, indent=1, sort_keys=True) + "\n")
