"""The request of NVIDIA's documentation through the whole stack."""

from __future__ import annotations

import base64
import io

from PIL import Image

from e2e.media import decode
from e2e.stack import Stack
from gateway.nim_requests import SERVED
from stages.language_model import LanguageModel, saying


def test_the_documented_request_becomes_a_video(stack: Stack, language_model: LanguageModel) -> None:
    """What the tiny model does not serve is replaced, see `SERVED`; the rest is as it is, and wants its prompt rewritten."""
    language_model.answer = lambda _: saying("A drive down a quiet street in the rain.")
    answer = stack.client.post("/v1/infer", json=SERVED)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    frames, told = decode(base64.b64decode(body["b64_video"]))
    assert (frames.shape, told["fps"]) == ((9, 96, 176, 3), 16.0)
    assert (body["seed"], body["upsampled_prompt"]) == (4, "A drive down a quiet street in the rain.")
    assert answer.headers["X-Orrery-Prompt-Upsampled"] == "true"


def test_the_form_of_cosmos3_makes_a_jpeg(stack: Stack) -> None:
    fields = {"model_mode": "text2image", "prompt": "a ball", "seed": 4, "num_inference_steps": 3, "resolution": "96_1_1"}
    answer = stack.client.post("/v1/infer", json=fields)
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(base64.b64decode(answer.json()["b64_image"]))) as image:
        assert (image.format, image.size) == ("JPEG", (96, 96))
