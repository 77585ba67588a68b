"""Prompt upsampling: what each language model that rewrites prompts is asked, and what came of asking it."""

from __future__ import annotations

import hashlib
import tomllib
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Literal

from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.plan import Frozen


class Fail(StrEnum):
    """What becomes of a request whose prompt could not be upsampled: it goes on with its own prompt, or it fails."""

    OPEN = "open"
    CLOSED = "closed"


class Picture(Frozen):
    """That a conditioning frame is shown: which one, before or after the text, and how large in pixels it may be."""

    frame: int
    place: Literal["before", "after"]
    max_side: int | None = None
    max_pixels: int | None = None


class Template(Frozen):
    """What a model is asked. `{prompt}` in `user` is the client's prompt; `cleaning` is what is done to the answer."""

    system: str | None = None
    user: str
    max_tokens: int
    temperature: float
    top_p: float | None = None
    cleaning: Literal["none", "caption", "ascii"]
    picture: Picture | None = None


class Upsampling(Frozen):
    """What the upsampler answered: a `prompt`, or for which `reason` there is none. `fail` says what follows from that."""

    prompt: str | None
    reason: str | None = None
    fail: Fail


class Outcome(StrEnum):
    UPSAMPLED = "upsampled"
    ORIGINAL = "original"


class Choice(Frozen):
    """Which prompt the world is made from, and why it is not the upsampled one."""

    outcome: Outcome
    reason: str | None = None


TEMPLATES: tuple[str, ...] = ("pixtral-12b", "reason1-7b", "upsample-prompt1-12b")
"""Each is a file beside this one, named after the model that it is for, and the component of tasks that ask with it."""


@cache
def template(name: str) -> Template:
    """Raises `ComponentUnusable` if there is none of this name."""
    return Template.model_validate(tomllib.loads(_text(name).decode()))


class ServedTemplate(Frozen):
    """A template that an endpoint is asked with. It stands where other tasks have a component of weights."""

    name: str
    fingerprint: str


def served(name: str, *, url: str, model: str, fail: Fail) -> ServedTemplate:
    """With a SHA-256 over whatever could make the answer to the same request another. Raises as `template`."""
    parts = (_text(name), url.encode(), model.encode(), fail.value.encode())
    digests = "\n".join(hashlib.sha256(part).hexdigest() for part in parts)
    return ServedTemplate(name=name, fingerprint=hashlib.sha256(digests.encode()).hexdigest())


def _text(name: str) -> bytes:
    if name not in TEMPLATES:
        raise ComponentUnusable(f"there is no prompt template {name!r}; there are {list(TEMPLATES)}")
    return files(__name__).joinpath(f"{name}.toml").read_bytes()
