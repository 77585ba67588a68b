"""Triton without the gateway: the text2world ensemble through the official client."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from e2e.media import decode
from e2e.stack import Stack

ASKED = {"prompt": "a ball rolls", "seed": 5, "num_frames": 9, "num_inference_steps": 3, "output_format": "mkv"}


def infer(stack: Stack, request: dict[str, object]) -> triton.InferResult:
    url = (stack.home / "triton-url").read_text().strip()
    with triton.InferenceServerClient(url) as client:
        tensor = triton.InferInput("request", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([json.dumps(request).encode()], dtype=np.object_))
        return client.infer("text2world", [tensor])


def test_the_ensemble_makes_what_the_job_makes(stack: Stack) -> None:
    result = infer(stack, ASKED)
    media = result.as_numpy("media").tobytes()
    assert decode(media)[0].shape == (9, 96, 176, 3)
    job = stack.make(**ASKED)
    assert media == stack.content(job["id"])
    assert result.as_numpy("thumbnail").tobytes() == stack.content(job["id"], "thumbnail")
    assert json.loads(result.as_numpy("verdict")[0])["prompt"]["allowed"] is True


def test_the_ensemble_refuses_what_the_gateway_refuses(stack: Stack) -> None:
    with pytest.raises(InferenceServerException, match="num_frames"):
        infer(stack, ASKED | {"num_frames": 10})
    with pytest.raises(InferenceServerException, match="prompt_blocked"):
        infer(stack, ASKED | {"prompt": "a fucking ball"})
