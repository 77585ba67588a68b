"""Cosmos Predict2.5's denoisers: Predict2's tensors and a projection of the text encoder's output.

One network serves every checkpoint of a size, so which of them a file is only its name tells.
"""

from __future__ import annotations

from orrery.weights.released.predict2 import GENERATION as PREDICT2
from orrery.weights.released.variant import EMBEDDER, Generation, Variant

QWEN_LAYERS, QWEN_WIDTH = 28, 3584
"""Of Qwen2.5-VL-7B, whose layers are concatenated before the projection."""

GENERATION = Generation(name="Predict2.5", marks=(EMBEDDER, "crossattn_proj.0.weight"), renames=PREDICT2.renames)


def _variant(size: str, heads: int, layers: int) -> Variant:
    return Variant(
        generation=GENERATION,
        name=f"Predict2.5 {size}",
        heads=heads,
        head_width=128,
        layers=layers,
        in_channels=17,
        rope_scale=(1.0, 3.0, 3.0),
        extra={
            "use_crossattn_projection": True,
            "crossattn_proj_in_channels": QWEN_LAYERS * QWEN_WIDTH,
            "encoder_hidden_states_channels": 1024,
        },
    )


_2B, _14B = _variant("2B", 16, 28), _variant("14B", 40, 36)

VARIANTS = {
    "predict2.5-2b-base": _2B,
    "predict2.5-2b-base-pretrained": _2B,
    "predict2.5-2b-base-distilled": _2B,
    "predict2.5-14b-base": _14B,
    "predict2.5-14b-base-pretrained": _14B,
}
