"""One table of names: what a client calls a field, and what it is."""

from __future__ import annotations

from typing import Any

import pytest

from orrery.worlds.errors import InvalidField, UnknownField
from orrery.worlds.requests import RequestedWorld
from orrery.worlds.synonyms import SYNONYMS, canonical_fields, known_names, named_as_given, refuse_unknown, spellings

EVERY = [(name, other) for name, others in SYNONYMS.items() for other in others]


@pytest.mark.parametrize(("name", "other"), EVERY)
def test_every_spelling_means_its_field(name: str, other: str) -> None:
    assert canonical_fields({other: 5, "prompt": "x"}) == {name: 5, "prompt": "x"}


@pytest.mark.parametrize(("name", "other"), EVERY)
def test_two_spellings_of_one_field_are_an_error_that_names_both(name: str, other: str) -> None:
    with pytest.raises(InvalidField) as caught:
        canonical_fields({name: 1, other: 1})
    assert name in caught.value.message
    assert other in caught.value.message
    assert caught.value.field == other


def test_no_name_means_two_fields() -> None:
    fields = [*RequestedWorld.model_fields, *SYNONYMS]
    names = [name for field in dict.fromkeys(fields) for name in spellings(field)]
    assert len(names) == len(set(names))


def test_what_is_null_is_not_given() -> None:
    assert canonical_fields({"steps": None, "num_steps": 4}) == {"num_inference_steps": 4}
    assert canonical_fields({"num_steps": 4, "steps": None}) == {"num_inference_steps": 4}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"width": 176, "height": 96}, {"size": "176x96"}),
        ({"width": "176", "height": "96"}, {"size": "176x96"}),
        ({"aspect_ratio": "16,9"}, {"aspect_ratio": "16:9"}),
        ({"aspect_ratio": "16_9"}, {"aspect_ratio": "16:9"}),
        ({"aspect_ratio": "wide"}, {"aspect_ratio": "wide"}),
        ({"aspect_ratio": 7}, {"aspect_ratio": 7}),
        ({"resolution": "720p"}, {"resolution": "720"}),
        ({"resolution": "720_16_9"}, {"resolution": "720", "aspect_ratio": "16:9"}),
        ({"resolution": "none"}, {"resolution": "none"}),
    ],
    ids=str,
)
def test_sizes_and_shapes_are_spelled_in_several_ways(given: dict[str, Any], meant: dict[str, Any]) -> None:
    assert canonical_fields(given) == meant


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"width": 176}, "height"),
        ({"height": 96}, "width"),
        ({"width": 176, "height": 96, "size": "176x96"}, "width"),
        ({"resolution": "720_16_9", "aspect_ratio": "16:9"}, "aspect_ratio"),
    ],
    ids=str,
)
def test_sizes_are_given_once_and_whole(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        canonical_fields(given)
    assert caught.value.field == field


def test_an_unknown_name_is_compared_with_the_synonyms_too() -> None:
    refuse_unknown(["steps", "width", "prompt"], known_names(("num_inference_steps", "size", "prompt")))
    with pytest.raises(UnknownField) as caught:
        refuse_unknown(["guidence"], known_names(("guidance_scale", "prompt")))
    assert caught.value.allowed == ["guidance"]
    assert "width" not in known_names(("prompt",))


def test_an_error_names_the_field_as_the_client_did() -> None:
    with pytest.raises(InvalidField) as caught, named_as_given({"steps": 0, "seed": 1}):
        raise InvalidField("num_inference_steps 0 is out of range", field="num_inference_steps")
    assert caught.value.field == "steps"
    with pytest.raises(InvalidField) as caught, named_as_given({"width": 1, "height": 1}):
        raise InvalidField("size 1x1 is not offered", field="size")
    assert caught.value.field == "width"
