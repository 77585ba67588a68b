"""Files and functions stay short enough to be read at a sitting, those of the tests too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES, FUNCTION_LINES = 300, 50


def written_here(folder: str) -> list[Path]:
    """The Python files of a folder that no generator wrote."""
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "_pb2" not in path.name)


@pytest.mark.parametrize("folder", ["services/orrery", "tests", "build", "examples", "helm/orrery/files"])
def test_files_and_their_functions_are_short(folder: str) -> None:
    texts = {path: path.read_text() for path in written_here(folder)}
    assert texts
    assert {path: lines for path, text in texts.items() if (lines := text.count("\n")) > LINES} == {}
    functions = {
        (path, node.lineno, node.name): (node.end_lineno or 0) - node.lineno + 1
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {function: lines for function, lines in functions.items() if lines > FUNCTION_LINES} == {}
