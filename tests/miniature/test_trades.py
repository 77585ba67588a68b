"""The program that measures what fewer steps, another sampler or other guidance cost, on the shipped components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from programs import output_of


def trades(out: Path, *words: str) -> list[dict[str, Any]]:
    output_of("miniature.trades", "--out", str(out), "--prompts", "2", "--samplers", "euler", *words)
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_rows_are_added_and_right_where_a_model_is(tmp_path: Path) -> None:
    (first,) = trades(tmp_path / "rows.jsonl", "--steps", "12")
    assert first["asked"] == {
        "sampler": "euler",
        "steps": 12,
        "image_guidance": 1.5,
        "world_guidance": 1.0,
        "prompts": 2,
        "seed": 0,
    }
    # The first prompt has one thing, the second two.
    assert first["right"] == first["right_of_1"] == first["right_of_2"] == dict.fromkeys(first["right"], 1.0)
    again = trades(tmp_path / "rows.jsonl", "--steps", "1", "12")
    assert again[0] == first
    assert [(row["asked"]["steps"], row["right"]["all"]) for row in again[1:]] == [(1, 0.0)]
