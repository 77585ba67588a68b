"""What one field of a request is called elsewhere: one table for every way in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from orrery.worlds.errors import InvalidField, OrreryError, UnknownField

SYNONYMS: dict[str, tuple[str, ...]] = {
    "num_inference_steps": ("num_steps", "steps"),
    "guidance_scale": ("guidance",),
    "num_frames": ("num_video_frames", "num_output_frames", "frames_count"),
    "chunk_overlap": ("num_overlap_frames",),
    "fps": ("frames_per_sec", "frame_rate"),
    "num_conditional_frames": ("num_input_frames",),
    "input_reference": (
        "image",
        "video",
        "image_reference",
        "video_reference",
        "reference_url",
        "visual_input",
        "input_path",
        "input_image_or_video_path",
    ),
    "n": ("num_outputs_per_prompt",),
}
"""Names of vLLM-Omni, SGLang, the official Cosmos scripts and the NIM, by the name that Orrery uses."""

SIDES = ("width", "height")
"""Together another way to write `size`."""

_CANONICAL = {other: name for name, others in SYNONYMS.items() for other in others}
_RESOLUTION = re.compile(r"([0-9]{1,6})p?(?:_([0-9]{1,3}_[0-9]{1,3}))?")
_RATIO = re.compile(r"([0-9]{1,3})[:,_]([0-9]{1,3})")


def spellings(name: str) -> tuple[str, ...]:
    """The field's own name and its synonyms."""
    return name, *SYNONYMS.get(name, ())


def known_names(fields: Iterable[str]) -> tuple[str, ...]:
    """Every name under which one of `fields` may come."""
    named = [spelling for field in fields for spelling in spellings(field)]
    return (*named, *SIDES) if "size" in named else tuple(named)


def refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    """Raises `UnknownField` for the first name that is not known, with the one that may have been meant."""
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise UnknownField(f"there is no field {name!r}{meant}", field=name, allowed=near or sorted(known))


def canonical_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under Orrery's names and in its spelling; None stands for a field that is not there.

    Raises `InvalidField` naming both if two names of one field are given.
    """
    found: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for given, value in _with_size(values).items():
        name = _CANONICAL.get(given, given)
        if value is None:
            found.setdefault(name, None)
            continue
        if name in spelled:
            raise _twice(spelled[name], given)
        spelled[name], found[name] = given, value
    return _with_ratio(found)


@contextmanager
def named_as_given(values: Mapping[str, Any]) -> Iterator[None]:
    """Inside, an error about a field names it as `values` do."""
    given = {_CANONICAL.get(name, name): name for name, value in values.items() if value is not None}
    if "size" not in given and any(values.get(side) is not None for side in SIDES):
        given["size"] = SIDES[0]
    try:
        yield
    except OrreryError as error:
        error.field = given.get(error.field, error.field) if error.field is not None else None
        raise


def _twice(first: str, second: str) -> InvalidField:
    return InvalidField(f"{first} and {second} are the same field", field=second, allowed=f"one of {first}, {second}")


def _with_size(values: Mapping[str, Any]) -> dict[str, Any]:
    """`width` and `height` as `size`."""
    rest = {name: value for name, value in values.items() if name not in SIDES}
    width, height = (values.get(side) for side in SIDES)
    if width is None and height is None:
        return rest
    if rest.get("size") is not None:
        raise _twice("size", SIDES[0] if width is not None else SIDES[1])
    if width is None or height is None:
        missing = SIDES[0] if width is None else SIDES[1]
        raise InvalidField(f"{missing} is missing", field=missing, allowed="width and height, or size")
    return rest | {"size": f"{width!s:.20}x{height!s:.20}"}


def _with_ratio(values: dict[str, Any]) -> dict[str, Any]:
    """`16,9` and `16_9` as `16:9`; `720p` as `720`; `720_16_9` as both."""
    resolution = _matched(_RESOLUTION, values.get("resolution"))
    if resolution is not None:
        values["resolution"] = resolution[1]
        if resolution[2] is not None:
            if values.get("aspect_ratio") is not None:
                raise _twice("resolution", "aspect_ratio")
            values["aspect_ratio"] = resolution[2]
    ratio = _matched(_RATIO, values.get("aspect_ratio"))
    if ratio is not None:
        values["aspect_ratio"] = f"{ratio[1]}:{ratio[2]}"
    return values


def _matched(pattern: re.Pattern[str], value: Any) -> re.Match[str] | None:
    return pattern.fullmatch(value) if isinstance(value, str) else None
