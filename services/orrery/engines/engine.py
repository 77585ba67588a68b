"""The one signature under which a denoiser calls a transformer."""

from __future__ import annotations

from typing import Protocol

import torch


class Engine(Protocol):
    def __call__(
        self,
        hidden_states: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        condition_mask: torch.Tensor | None,
        rope_fps: float | None,
    ) -> torch.Tensor:
        """One evaluation of the network, without guidance.

        `hidden_states` [1, 16, t, h, w] are preconditioned latents; `encoder_hidden_states` [1, tokens, width] the text;
        `condition_mask` [1, 1, t, h, w] is 1 where a latent frame is given rather than made, None for a network without such a
        channel. `timestep` is what the kind of prediction tells of the noise: [1] for all frames, or [1, 1, t, 1, 1] for each,
        which only networks with a condition mask take. `rope_fps` is the frame rate for the rotary embedding in time, None for
        none. All FP32, as is the answer [1, 16, t, h, w].
        """
        ...
