"""Prompts rewritten by a language model behind an endpoint, as the official scripts ask theirs to. Knows nothing of torch."""

from __future__ import annotations

import base64
import io
import logging
import math
import re
import unicodedata
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from orrery.stages.chat import Chat, HttpChat
from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.contracts import PASSING, PROMPT_UPSAMPLER, StageContract
from orrery.worlds.errors import ComponentUnusable, UpsamplingFailed
from orrery.worlds.upsampling import Fail, Picture, Template, Upsampling, template

log = logging.getLogger("orrery.stage")

SEED = 0
"""Of the language model's sampling: the same question is asked with the same one."""

MAX_CHARACTERS = 20_000
_UNUSABLE = re.compile("[\x00\ud800-\udfff]")


class PromptUpsampler:
    """Fails open or closed, as its settings say; `chat` is put in the place of the endpoint by tests."""

    contract: ClassVar[StageContract] = PROMPT_UPSAMPLER

    def __init__(self, settings: StageSettings, chat: Chat | None = None) -> None:
        if settings.upsampler is None:
            raise ComponentUnusable("a prompt upsampler needs an endpoint: ORRERY_UPSAMPLER_URL and ORRERY_UPSAMPLER_MODEL")
        self._fail = settings.upsampler.fail
        self._chat = chat or HttpChat(settings.upsampler)

    def run(self, values: Values, call: Call) -> Values:
        """See the contract. An endpoint that fails is no memory to keep, so what is said of it is `passing`.

        Raises `UpsamplingFailed` if it is to fail closed.
        """
        call.check_cancelled()
        asked = template(values["component"])
        try:
            made = Upsampling(prompt=self._asked(asked, values, call), fail=self._fail)
        except UpsamplingFailed as failure:
            if self._fail is Fail.CLOSED:
                raise
            log.warning("the prompt goes on as it is: %s", failure.message)
            made = Upsampling(prompt=None, reason=failure.message, fail=self._fail)
        data = np.frombuffer(made.model_dump_json().encode(), np.uint8)
        return {"upsampling": data, PASSING.name: made.prompt is None}

    def _asked(self, asked: Template, values: Values, call: Call) -> str:
        answer = self._chat.ask(question(asked, values["prompt"], values.get("frames")), call)
        text = CLEANING[asked.cleaning](answer).strip()
        if not text or len(text) > MAX_CHARACTERS or _UNUSABLE.search(text):
            raise UpsamplingFailed(f"the endpoint's answer is no prompt of 1 to {MAX_CHARACTERS} characters")
        return text


def question(asked: Template, prompt: str, frames: NDArray[np.uint8] | None) -> dict[str, Any]:
    """The body of a chat completion without its model; `frames` is [T, H, W, RGB]. What is drawn has a fixed seed."""
    system = [] if asked.system is None else [{"role": "system", "content": asked.system}]
    sampling = {"temperature": asked.temperature, "top_p": asked.top_p, "seed": SEED}
    return {
        "messages": [*system, {"role": "user", "content": _content(asked, prompt, frames)}],
        "max_tokens": asked.max_tokens,
        **{name: value for name, value in sampling.items() if value is not None},
    }


def _content(asked: Template, prompt: str, frames: NDArray[np.uint8] | None) -> Any:
    text = asked.user.replace("{prompt}", prompt)
    if asked.picture is None:
        return text
    if frames is None:
        raise UpsamplingFailed("the template shows a picture, and there is none")
    shown = {"type": "image_url", "image_url": {"url": data_url(asked.picture, frames)}}
    parts = [shown, {"type": "text", "text": text}]
    return parts if asked.picture.place == "before" else parts[::-1]


def data_url(picture: Picture, frames: NDArray[np.uint8]) -> str:
    """The frame that is shown as a PNG, not larger than the official script would hand it over."""
    image = Image.fromarray(frames[picture.frame])
    ratio = max(_too_large(picture, image))
    if ratio > 1:
        image = image.resize((math.ceil(image.width / ratio), math.ceil(image.height / ratio)), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _too_large(picture: Picture, image: Image.Image) -> tuple[float, float]:
    """How many times too long its sides are, by either limit."""
    by_side = 0.0 if picture.max_side is None else max(image.size) / picture.max_side
    by_area = 0.0 if picture.max_pixels is None else math.sqrt(image.width * image.height / picture.max_pixels)
    return by_side, by_area


_HEADINGS = re.compile(r"- \*\*(.*?)\*\*")
_HEADING_WORDS = 10
_PREFIXES = ("Caption:", "#####", "####", "- ", "* ", ",")
_EDGES = " -,*:\"'“”"


def caption(text: str) -> str:
    """One line of prose, by the rules of the official Text2World script: without short headings, list marks and quotes."""
    line = re.sub(r"[\r\n]", " ", text)
    line = _HEADINGS.sub(lambda found: "" if len(re.findall(r"\w+", found[1])) < _HEADING_WORDS else found[0], line)
    for prefix in _PREFIXES:
        if line.startswith(prefix):
            line = line.removeprefix(prefix).lstrip()
    return " ".join(line.split()).strip(_EDGES)


_TYPOGRAPHY = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-"})


def ascii_only(text: str) -> str:
    """Letters lose their accents, typographic marks become plain ones, whatever else is not ASCII goes."""
    plain = unicodedata.normalize("NFKD", text.translate(_TYPOGRAPHY))
    return plain.encode("ascii", "ignore").decode()


CLEANING: dict[str, Callable[[str], str]] = {"none": str, "caption": caption, "ascii": ascii_only}
