"""From a body in the Cosmos NIM's words to one in Orrery's, and from Orrery's errors back to the NIM's words."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from orrery.gateway.fields import refuse_unknown
from orrery.gateway.sniffing import HEAD_BYTES, SIGNATURES, sniff
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.errors import InvalidField, InvalidMedia, OrreryError
from orrery.worlds.requests import MAX_SEED

SAME = ("prompt", "negative_prompt", "seed", "guidance_scale", "model", "aspect_ratio")
RENAMED = {
    "steps": "num_inference_steps",
    "num_inference_steps": "num_inference_steps",
    "num_frames": "num_frames",
    "fps": "fps",
}
VIDEO_PARAMS = {"frames_count": "num_frames", "frames_per_sec": "fps"}
SIDES = ("width", "height")
IMAGES = frozenset(media_type for media_type in SIGNATURES if media_type.startswith("image/"))
REFERENCES: dict[str, Collection[str]] = {
    "image": IMAGES,
    "video": frozenset(SIGNATURES) - IMAGES,
    "input_reference": frozenset(SIGNATURES),
}
"""Fields that hold a picture or clip, and the media types that each may hold."""

MODES: dict[str, Workflow | None] = {
    "text2image": Workflow.TEXT2IMAGE,
    "text2video": Workflow.TEXT2WORLD,
    "image2video": Workflow.VIDEO2WORLD,
    "video2video": Workflow.VIDEO2WORLD,
    "forward_dynamics": None,
    "inverse_dynamics": None,
    "policy": None,
}
"""`model_mode` of the Cosmos3 NIM; None is what no model of the catalog serves."""

UNSERVED = ("flow_shift", "action_params", "transfer", "condition_frame_indexes_vision")
"""Fields of the Cosmos3 form that no model of the catalog has."""

KNOWN = (*SAME, *RENAMED, *REFERENCES, *UNSERVED, "video_params", "prompt_upsampling", "model_mode", "resolution")
KNOWN_FIELDS = (*KNOWN, "condition_video_keep")

_RESOLUTION = re.compile(r"([0-9]{1,4})(?:_([0-9]{1,2})_([0-9]{1,2}))?")


@dataclass(frozen=True)
class Translated:
    """`values` in Orrery's words without the reference; `origin` has the client's name of each.

    `upsampling` is wanted unless a client declines, and given where it can be.
    """

    workflow: Workflow
    values: dict[str, Any]
    upsampling: bool
    reference: Any = None
    origin: Mapping[str, str] = field(default_factory=dict)


def translate(body: Mapping[str, Any]) -> Translated:
    """Raises `UnknownField` and `InvalidField` in the NIM's words. A seed that is not given is drawn, as the NIM does."""
    refuse_unknown(body, KNOWN_FIELDS)
    given = {name: value for name, value in body.items() if value is not None}
    _refuse_unserved(given)
    upsampling = _upsampling(given.get("prompt_upsampling", True))
    values, origin = _settings(given)
    told, reference = _reference(given)
    workflow = _workflow(given.get("model_mode"), told)
    values.setdefault("seed", secrets.randbelow(MAX_SEED + 1))
    return Translated(workflow, values, upsampling, reference, origin | ({"input_reference": told} if told else {}))


def _refuse_unserved(given: Mapping[str, Any]) -> None:
    for name in UNSERVED:
        if name in given:
            raise InvalidField(f"no model that is served here takes {name}", field=name, allowed=f"no {name}")
    if given.get("condition_video_keep", "last") != "last":
        message = "a world goes on from the end of its clip"
        raise InvalidField(message, field="condition_video_keep", allowed=["last"])


def _upsampling(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidField("prompt_upsampling is true or false", field="prompt_upsampling", allowed=[True, False])
    return value


def _settings(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Values in Orrery's words, and where each came from."""
    named = [(name, name, _with_colon(name, given[name])) for name in SAME if name in given]
    named += [(name, native, given[name]) for name, native in RENAMED.items() if name in given]
    named += _video_params(given.get("video_params", {}))
    named += _resolution(given.get("resolution"))
    origin: dict[str, str] = {}
    for told, native, _ in named:
        if native in origin:
            raise InvalidField(f"give {origin[native]} or {told}, not both", field=told, allowed="one of the two")
        origin[native] = told
    return {native: value for _, native, value in named}, origin


def _with_colon(name: str, value: Any) -> Any:
    """An aspect ratio may be `16_9` or `16,9`, as in NVIDIA's examples."""
    written = name == "aspect_ratio" and isinstance(value, str)
    return value.replace("_", ":").replace(",", ":") if written else value


def _video_params(params: Any) -> list[tuple[str, str, Any]]:
    if not isinstance(params, dict):
        raise InvalidField("video_params is an object", field="video_params", allowed=[*SIDES, *VIDEO_PARAMS])
    refuse_unknown(params, (*SIDES, *VIDEO_PARAMS))
    given = {name: value for name, value in params.items() if value is not None}
    named = [(f"video_params.{name}", native, given[name]) for name, native in VIDEO_PARAMS.items() if name in given]
    return named + _size(given)


def _size(given: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    sides = [given.get(side) for side in SIDES]
    if sides == [None, None]:
        return []
    for side, value in zip(SIDES, sides, strict=True):
        if type(value) is not int or not 0 < value < 10**6:
            message = f"video_params.{side} is a number of pixels, and both sides are given or none"
            raise InvalidField(message, field=f"video_params.{side}", allowed="an integer of pixels")
    return [("video_params", "size", "x".join(map(str, sides)))]


def _resolution(key: Any) -> list[tuple[str, str, Any]]:
    """`720`, or with its shape `720_16_9`."""
    if key is None:
        return []
    parts = _RESOLUTION.fullmatch(key) if isinstance(key, str) else None
    if parts is None:
        raise InvalidField("resolution is no key", field="resolution", allowed='"720" or "720_16_9"')
    tier, across, down = parts.groups()
    shape = [("resolution", "aspect_ratio", f"{across}:{down}")] if across else []
    return [("resolution", "resolution", tier), *shape]


def _reference(given: Mapping[str, Any]) -> tuple[str | None, Any]:
    """The name and value of the one reference that may be given."""
    names = [name for name in REFERENCES if name in given]
    if len(names) > 1:
        raise InvalidField(f"give {names[0]} or {names[1]}, not both", field=names[1], allowed="one of the two")
    return (names[0], _as_url(given[names[0]])) if names else (None, None)


def _as_url(value: Any) -> Any:
    """The NIM takes base64 as it is, too."""
    bare = isinstance(value, str) and not value.startswith(("data:", "http:", "https:"))
    return f"data:;base64,{value}" if bare else value


def _workflow(mode: Any, reference: str | None) -> Workflow:
    given = Workflow.VIDEO2WORLD if reference else Workflow.TEXT2WORLD
    if mode is None:
        return given
    if not isinstance(mode, str) or mode not in MODES:
        raise InvalidField("model_mode is not known", field="model_mode", allowed=[name for name in MODES if MODES[name]])
    workflow = MODES[mode]
    if workflow is None:
        served = [name for name, known in MODES.items() if known]
        raise InvalidField(f"no model that is served here does {mode}", field="model_mode", allowed=served)
    if (workflow is Workflow.VIDEO2WORLD) != (reference is not None):
        needs = "needs a picture or clip" if reference is None else f"takes no {reference}"
        raise InvalidField(f"{mode} {needs}", field="model_mode", allowed=list(REFERENCES))
    return workflow


def checked_reference(name: str, file: BinaryIO) -> bool:
    """Whether `file` is a clip. Raises `InvalidMedia` if it is not what the field holds; its place is the start again."""
    media_type = sniff(file.read(HEAD_BYTES))
    file.seek(0)
    if media_type not in REFERENCES[name]:
        raise InvalidMedia(f"{name} is {media_type or 'no known image or clip'}", field=name, allowed=sorted(REFERENCES[name]))
    return media_type not in IMAGES


def conditional_frames(model: ModelSpec, *, clip: bool) -> int:
    """How many frames of a reference the NIM would use: of a clip as many as the model takes."""
    return max(model.denoiser(Workflow.VIDEO2WORLD).num_conditional_frames) if clip else 1


@contextmanager
def in_the_words_of(origin: Mapping[str, str]) -> Iterator[None]:
    """Errors that name a field of Orrery's name the one that the client sent."""
    try:
        yield
    except OrreryError as error:
        told = origin.get(error.field or "")
        if told is None or told == error.field:
            raise
        message = error.message.replace(str(error.field), told)
        raise type(error)(message, field=told, allowed=error.allowed, evidence=error.evidence) from error
