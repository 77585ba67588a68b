"""What an engine may be told, without torch."""

from __future__ import annotations

from enum import StrEnum


class Shortcut(StrEnum):
    """Work that an engine may leave out. The mathematics stays the same.

    `text_kv` keeps what a prompt gives to cross-attention over the steps of a job: the same bytes, for some memory.
    `frame_adaln` computes what a noise level gives to a layer for each frame in place of each token, and `batched_guidance`
    evaluates both branches of guidance in one batch: other shapes of the same products, which kernels round differently.
    """

    TEXT_KV = "text_kv"
    FRAME_ADALN = "frame_adaln"
    BATCHED_GUIDANCE = "batched_guidance"


EXACT = (Shortcut.TEXT_KV,)
"""Those that change no byte."""
