"""From files to what they want; nothing is sent before all of them have been read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from orrery.client.specs.formats import FORMATS, Format, Place, Sample, Wanted

Found = Iterator[tuple[Place, Any]]


def read_specs(paths: Sequence[Path]) -> list[Wanted]:
    """Raises `InvalidField` naming file, line and key at the first fault: a missing file, an unknown key, a name used twice."""
    wanted = [_wanted(place, value) for path in paths for place, value in _samples(path)]
    _refuse_repeated(wanted)
    return wanted


def _samples(path: Path) -> Found:
    if path.suffix not in READERS:
        raise Place(path, None, 0).refuse(None, f"{path.suffix or 'no suffix'} is not read", sorted(READERS))
    yield from READERS[path.suffix](path)


def _of_lines(path: Path) -> Found:
    lines = [(number, line) for number, line in enumerate(path.read_text().splitlines(), start=1) if line.strip()]
    for index, (number, line) in enumerate(lines):
        place = Place(path, number, index)
        yield place, _parsed(line, place)


def _of_json(path: Path) -> Found:
    """One sample, or an array of them; those of an array are counted as lines are."""
    whole = Place(path, None, 0)
    value = _parsed(path.read_text(), whole)
    if isinstance(value, list):
        yield from ((Place(path, index + 1, index), each) for index, each in enumerate(value))
    else:
        yield whole, value


def _of_yaml(path: Path) -> Found:
    import yaml  # only Predict2.5 knows it

    whole = Place(path, None, 0)
    try:
        yield whole, yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise whole.refuse(None, f"this is no YAML: {error}", "YAML") from error


READERS: dict[str, Callable[[Path], Found]] = {
    ".json": _of_json,
    ".jsonl": _of_lines,
    ".yaml": _of_yaml,
    ".yml": _of_yaml,
}


def _parsed(text: str, place: Place) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise place.refuse(None, f"this is no JSON: {error}", "JSON") from error


def _wanted(place: Place, value: Any) -> Wanted:
    if not isinstance(value, dict):
        raise place.refuse(None, "this is no object", "an object with the keys of an official format")
    form, sample = _format_of(place, value), Sample()
    for key, read in form.keys.items():
        if value.get(key) is not None:
            read(sample, value[key], place, key)
    form.finish(sample, place)
    return Wanted(
        place,
        Path(str(sample.output)),
        sample.parameters,
        sample.reference,
        is_image=sample.kind == "image",
        folder=form.folder,
    )


def _format_of(place: Place, value: dict[str, Any]) -> Format:
    """The first one that has a mark in the sample; its own keys are then held against it."""
    form = next((form for form in FORMATS if form.marks & value.keys()), FORMATS[-1])
    for key in value:
        if key not in form.keys:
            raise place.refuse(key, _unknown(key, form), sorted(form.keys))
    for key in form.required:
        if value.get(key) is None:
            raise place.refuse(key, f"a sample of {form.name} has one", f"a {key}")
    return form


def _unknown(key: str, form: Format) -> str:
    owners = [other.name for other in FORMATS if key in other.keys]
    if owners:
        return f"this is a key of {' and '.join(owners)}, and the others are of {form.name}"
    near = get_close_matches(key, {key for other in FORMATS for key in other.keys}, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"no official format has this key{meant}"


def _refuse_repeated(wanted: Sequence[Wanted]) -> None:
    seen: dict[Path, Place] = {}
    for one in wanted:
        if one.output in seen:
            raise one.place.refuse(None, f"{one.output} is made by {seen[one.output]} already", "a name of its own")
        seen[one.output] = one.place
