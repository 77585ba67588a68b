"""The request of NVIDIA's documentation of the Cosmos NIM, and what of it the tiny model must have otherwise."""

from __future__ import annotations

from typing import Any

DOCUMENTED: dict[str, Any] = {
    "prompt": (
        "first person view from a camera in a car driving down a two lane neighborhood street, viewed from the dashcam as we "
        "drive down the street. The camera faces forward. There are nice houses and sidewalks in this suburban area with green "
        "grass front yards and flower gardens and large oak trees. It is a rainy day and there are grey clouds overhead. The "
        "road has puddles on it, reflecting the sky overhead. The windshield wipers flash by."
    ),
    "negative_prompt": "blurry, low quality, artifacts, people",
    "prompt_upsampling": True,
    "seed": 4,
    "guidance_scale": 7.5,
    "steps": 50,
    "video_params": {"height": 704, "width": 1280, "frames_count": 121, "frames_per_sec": 24},
}
"""Field for field as in docs.nvidia.com/nim/cosmos, API reference, "Generate Sample"; the prompt too."""

SERVED = DOCUMENTED | {"video_params": {"height": 96, "width": 176, "frames_count": 9, "frames_per_sec": 16}}
"""The same with what no model here serves replaced: Predict2 has 16 frames per second and at most 93, the tiny one is small."""
