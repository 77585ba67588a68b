"""What the documents say of the code is what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))


def test_the_tables_of_the_reference_are_the_generated_ones(tmp_path: Path) -> None:
    """`make docs` writes them."""
    committed = (ROOT / "docs" / "api.md").read_text()
    (tmp_path / "api.md").write_text(committed)
    subprocess.run([sys.executable, ROOT / "build" / "reference.py", tmp_path / "api.md"], check=True)
    assert (tmp_path / "api.md").read_text() == committed
    assert committed.count("| `") > 80


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_what_a_page_points_at_is_there(page: Path) -> None:
    text = page.read_text()
    linked = [link.partition("#")[0] for link in re.findall(r"\]\(([^):]+)\)", text)]
    assert [link for link in linked if link and not (page.parent / link).exists()] == []
    named = re.findall(r"`((?:examples|proto|services|tests)/[^`* ]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
