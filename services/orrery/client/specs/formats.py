"""The official formats: one table for each, from its keys to what Orrery calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orrery.worlds.errors import InvalidField


@dataclass(frozen=True)
class Place:
    """Where in which file something stands, for errors; `index` counts the samples of the file from 0."""

    path: Path
    line: int | None
    index: int

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path} line {self.line}"

    def refuse(self, field: str | None, why: str, allowed: Any = None) -> InvalidField:
        named = f"{self}, {field}" if field else str(self)
        return InvalidField(f"{named}: {why}", field=field, allowed=allowed)


@dataclass(frozen=True)
class Wanted:
    """One video, or one image, that a spec asks for.

    `parameters` are by Orrery's names, `output` is below the folder of outputs unless it is absolute. `folder` is that one if
    nobody says otherwise.
    """

    place: Place
    output: Path
    parameters: dict[str, Any]
    reference: Path | None = None
    is_image: bool = False
    folder: Path = Path()


@dataclass
class Sample:
    """What is known of a `Wanted` so far."""

    parameters: dict[str, Any] = field(default_factory=dict)
    reference: Path | None = None
    output: str | None = None
    kind: str = "video"


Reader = Callable[[Sample, Any, Place, str], None]
"""Puts the value of a key, which is not None, into the sample."""


@dataclass(frozen=True)
class Format:
    """`marks` are keys that only this format has; without one of them a sample is of it only if no other fits.

    `folder` is where the official scripts put outputs if they are not told otherwise.
    """

    name: str
    keys: Mapping[str, Reader]
    required: tuple[str, ...]
    marks: frozenset[str]
    finish: Callable[[Sample, Place], None]
    folder: Path = Path()


def renamed(name: str, *kinds: type) -> Reader:
    def read(sample: Sample, value: Any, place: Place, key: str) -> None:
        if type(value) not in kinds:
            words = " or ".join(kind.__name__ for kind in kinds)
            raise place.refuse(key, f"{value!r} is no {words}", words)
        sample.parameters[name] = value

    return read


def reference(*, also_here: bool) -> Reader:
    """Paths are relative to the spec. Scripts before Predict2.5 take them from where they are run: that is looked at second."""

    def read(sample: Sample, value: Any, place: Place, key: str) -> None:
        sample.reference = _file(value, place, key, (place.path.parent, Path()) if also_here else (place.path.parent,))

    return read


def prompt_path(sample: Sample, value: Any, place: Place, key: str) -> None:
    sample.parameters.setdefault("prompt", _file(value, place, key, (place.path.parent,)).read_text().strip())


def _file(value: Any, place: Place, key: str, folders: Sequence[Path]) -> Path:
    if not isinstance(value, str):
        raise place.refuse(key, f"{value!r} is no path", "the path of a file")
    paths = [folder / Path(value).expanduser() for folder in folders]
    for path in paths:
        if path.is_file():
            return path
    raise place.refuse(key, f"there is no file {paths[0]}", "a file that exists, relative to the spec")


def output(kind: str, suffix: str = "") -> Reader:
    def read(sample: Sample, value: Any, place: Place, key: str) -> None:
        if not isinstance(value, str) or not value.strip() or ".." in Path(value).parts:
            raise place.refuse(key, f"{value!r} names no output", "a path without ..")
        sample.output, sample.kind = value + suffix, kind

    return read


def resolution(sample: Sample, value: Any, place: Place, key: str) -> None:
    """`none`, a name like `720`, or height and width."""
    height, comma, width = str(value).partition(",")
    if comma and not (height.strip().isdecimal() and width.strip().isdecimal()):
        raise place.refuse(key, f"{value!r} is no resolution", "none, a name, or height,width")
    if comma:
        sample.parameters["size"] = f"{int(width)}x{int(height)}"
    elif height != "none":
        sample.parameters["resolution"] = height


CONDITIONAL_FRAMES = {"text2world": 0, "image2world": 1, "video2world": 5}
"""Two latent frames of a video are five of its own."""


def inference_type(sample: Sample, value: Any, place: Place, key: str) -> None:
    if value not in CONDITIONAL_FRAMES:
        raise place.refuse(key, f"{value!r} is not known", list(CONDITIONAL_FRAMES))
    sample.kind = value


PROMPTS: dict[str, Reader] = {"prompt": renamed("prompt", str)}


def _numbered(sample: Sample, place: Place) -> None:
    """Without a prompt the official scripts ask a language model for one, which Orrery does not have."""
    if "prompt" not in sample.parameters:
        raise place.refuse("prompt", "there is none, and Orrery makes none up", "a text")
    sample.output = f"{place.index}.mp4"


AUTOREGRESSIVE = "enable_autoregressive"


def _conditioned(sample: Sample, place: Place) -> None:
    """What says how films are made in chunks counts only if chunks are asked for, as it does to the official script."""
    if not sample.parameters.pop(AUTOREGRESSIVE, False):
        sample.parameters.pop("chunk_size", None)
        sample.parameters.pop("chunk_overlap", None)
    frames = CONDITIONAL_FRAMES[sample.kind]
    if "prompt" not in sample.parameters:
        raise place.refuse("prompt", "there is neither prompt nor prompt_path", "one of them")
    if not frames:
        sample.reference = None  # ignored by the official script too
    elif sample.reference is None:
        raise place.refuse("input_path", f"{sample.kind} needs one", "the path of an image or a clip")
    else:
        sample.parameters["num_conditional_frames"] = frames if sample.reference.suffix == ".mp4" else 1


def _as_it_stands(sample: Sample, place: Place) -> None:
    if sample.output is None:
        raise place.refuse("output_video", "there is neither output_video nor output_image", "one of them")


PREDICT1 = Format(
    "Predict1",
    PROMPTS | {"visual_input": reference(also_here=True)},
    required=(),
    marks=frozenset({"visual_input"}),
    finish=_numbered,
    folder=Path("outputs"),
)
PREDICT2 = Format(
    "Predict2",
    PROMPTS | {"input_video": reference(also_here=True), "output_video": output("video"), "output_image": output("image")},
    required=("prompt",),
    marks=frozenset({"input_video", "output_video", "output_image"}),
    finish=_as_it_stands,
)
PREDICT25 = Format(
    "Predict2.5",
    PROMPTS
    | {
        "name": output("text2world", ".mp4"),
        "inference_type": inference_type,
        "prompt_path": prompt_path,
        "negative_prompt": renamed("negative_prompt", str),
        "input_path": reference(also_here=False),
        "num_output_frames": renamed("num_frames", int),
        "resolution": resolution,
        "guidance": renamed("guidance_scale", int, float),
        "num_steps": renamed("num_inference_steps", int),
        "seed": renamed("seed", int),
        "enable_autoregressive": renamed(AUTOREGRESSIVE, bool),
        "chunk_size": renamed("chunk_size", int),
        "chunk_overlap": renamed("chunk_overlap", int),
    },
    required=("name", "inference_type"),
    marks=frozenset({"name", "inference_type", "prompt_path", "input_path", "num_output_frames", "guidance", "num_steps"}),
    finish=_conditioned,
)
FORMATS = (PREDICT25, PREDICT2, PREDICT1)
"""In the order in which they are tried; a prompt alone is a sample of Predict1."""
