"""The distilled Predict2 through the HTTP API is the straight line of its levels over diffusers' network."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from e2e.stack import Stack
from orrery.worlds.catalog.predict2 import TINY_DISTILLED as MODEL
from stages.setting import IMAGE
from stages.test_renoise import network, straight_line


def test_an_image_in_two_steps(stack: Stack, models_dir: Path) -> None:
    body = {"model": MODEL.name, "prompt": "A robot arm welds", "seed": 5, "size": "96x96", "num_inference_steps": 2}
    answer = stack.client.post("/v1/images/generations", json=body)
    assert answer.status_code == 200, answer.text
    job = stack.client.get("/v1/videos", params={"limit": 1}).json()["data"][0]
    assert (job["model"], job["sampler"], job["guidance_scale"]) == (MODEL.name, "renoise", 0.0)
    text = stack.tensor(job, "encode_text", "text_embeddings")
    expected = straight_line(network(models_dir / IMAGE), text, 5, 2, (1, 16, 1, 12, 12))
    np.testing.assert_allclose(stack.tensor(job, "denoise", "latents"), expected, atol=1e-4)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"]))))
    assert picture.shape == (96, 96, 3)
    assert picture.std() > 20, "a flat picture would be equal to anything"


def test_what_it_was_not_distilled_for_is_refused(stack: Stack) -> None:
    body = {"model": MODEL.name, "prompt": "x", "num_inference_steps": 5}
    answer = stack.client.post("/v1/images/generations", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["field"], error["allowed"]) == (422, "num_inference_steps", "1 to 4")
