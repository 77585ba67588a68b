"""What both sides of the comparison are asked: the engine here, and diffusers with PEFT when the files were written."""

from __future__ import annotations

from pathlib import Path

import torch

HERE = Path(__file__).parent
DIFFUSERS, PEFT = "as-diffusers", "as-peft"
ANSWERS = HERE / "answers.safetensors"


def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "hidden_states": torch.randn((1, 16, 2, 12, 12), generator=generator),
        "timestep": torch.tensor([[[[[0.1]], [[0.7]]]]]),
        "encoder_hidden_states": torch.randn((1, 24, 32), generator=generator),
        "condition_mask": torch.ones((1, 1, 2, 12, 12)),
    }
