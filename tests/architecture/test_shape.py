"""Files and functions stay short enough to be read at a sitting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import orrery

FILES = sorted(path for path in Path(orrery.__file__).parent.rglob("*.py") if "_pb2" not in path.name)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(Path(orrery.__file__).parent)))
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    lengths = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > 50} == {}
