"""JSON objects with bounds."""

from __future__ import annotations

import pytest

from orrery.gateway.batching.lines import BadLine, Reader
from orrery.gateway.errors import MalformedBody
from orrery.gateway.objects import read_object


def nested(levels: int) -> str:
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


def test_objects_are_read_to_a_depth() -> None:
    assert read_object('{"a": [1, {"b": 2.5}], "c": "ü"}', 3) == {"a": [1, {"b": 2.5}], "c": "ü"}
    assert read_object(nested(5), 5)
    for text in (nested(6), '{"a": [[[[[1]]]]]}', nested(100_000), "[" * 100_000):
        with pytest.raises(MalformedBody):
            read_object(text, 5)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '{"b": {"a": 1, "a": 2}}', '{"b": [{"a": 1, "\\u0061": 2}]}'])
def test_a_name_comes_once(text: str) -> None:
    with pytest.raises(MalformedBody, match="'a' is given twice"):
        read_object(text, 9)


@pytest.mark.parametrize("levels", [34, 900, 990, 995, 999, 100_000])
def test_a_line_of_a_batch_is_bounded_too(levels: int) -> None:
    line = f'{{"custom_id": "a", "method": "POST", "url": "/v1/videos", "body": {nested(levels)}}}'
    with pytest.raises(BadLine) as caught:
        Reader("/v1/videos", lambda _number, _body: None).read((1, line.encode()))
    assert (caught.value.problem.code, caught.value.problem.line) == ("invalid_json_line", 1)
