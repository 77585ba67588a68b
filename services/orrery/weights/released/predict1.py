"""Cosmos Predict1's diffusion denoisers. Widths, depths and RoPE ratios are those of cosmos-predict1."""

from __future__ import annotations

from orrery.weights.released.variant import EMBEDDER, Generation, Variant

GENERATION = Generation(
    name="Predict1",
    marks=(EMBEDDER, "blocks.block0.blocks.0.block.attn.to_q.0.weight"),
    renames={
        "t_embedder.1": "time_embed.t_embedder",
        "affline_norm": "time_embed.norm",
        ".blocks.0.block.attn": ".attn1",
        ".blocks.1.block.attn": ".attn2",
        ".blocks.2.block": ".ff",
        ".blocks.0.adaLN_modulation.1": ".norm1.linear_1",
        ".blocks.0.adaLN_modulation.2": ".norm1.linear_2",
        ".blocks.1.adaLN_modulation.1": ".norm2.linear_1",
        ".blocks.1.adaLN_modulation.2": ".norm2.linear_2",
        ".blocks.2.adaLN_modulation.1": ".norm3.linear_1",
        ".blocks.2.adaLN_modulation.2": ".norm3.linear_2",
        "to_q.0": "to_q",
        "to_q.1": "norm_q",
        "to_k.0": "to_k",
        "to_k.1": "norm_k",
        "to_v.0": "to_v",
        "layer1": "net.0.proj",
        "layer2": "net.2",
        "proj.1": "proj",
        "x_embedder": "patch_embed",
        "extra_pos_embedder": "learnable_pos_embed",
        "final_layer.adaLN_modulation.1": "norm_out.linear_1",
        "final_layer.adaLN_modulation.2": "norm_out.linear_2",
        "final_layer.linear": "proj_out",
        "blocks.block": "transformer_blocks.",
    },
)


def _variant(size: str, workflow: str, heads: int, layers: int, rope_scale: tuple[float, float, float]) -> Variant:
    return Variant(
        generation=GENERATION,
        name=f"Predict1 {size} {workflow}",
        heads=heads,
        head_width=128,
        layers=layers,
        in_channels={"Text2World": 16, "Video2World": 17}[workflow],
        rope_scale=rope_scale,
        extra={"extra_pos_embed_type": "learnable"},
    )


VARIANTS = {
    "predict1-7b-text2world": _variant("7B", "Text2World", 32, 28, (2.0, 1.0, 1.0)),
    "predict1-7b-video2world": _variant("7B", "Video2World", 32, 28, (2.0, 1.0, 1.0)),
    "predict1-14b-text2world": _variant("14B", "Text2World", 40, 36, (2.0, 2.0, 2.0)),
    "predict1-14b-video2world": _variant("14B", "Video2World", 40, 36, (2.0, 2.0, 2.0)),
}
