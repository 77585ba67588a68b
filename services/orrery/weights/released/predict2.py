"""Cosmos Predict2's denoisers. Names, widths, depths and RoPE ratios are those of cosmos-predict2."""

from __future__ import annotations

from orrery.weights.released.variant import EMBEDDER, Generation, Variant
from orrery.worlds.catalog.predict2 import IMAGE_FILES, WORLD_FILES

GENERATION = Generation(
    name="Predict2",
    marks=(EMBEDDER,),
    ways=("natten", "distill"),
    renames={
        "t_embedder.1": "time_embed.t_embedder",
        "t_embedding_norm": "time_embed.norm",
        "blocks": "transformer_blocks",
        "adaln_modulation_self_attn.1": "norm1.linear_1",
        "adaln_modulation_self_attn.2": "norm1.linear_2",
        "adaln_modulation_cross_attn.1": "norm2.linear_1",
        "adaln_modulation_cross_attn.2": "norm2.linear_2",
        "adaln_modulation_mlp.1": "norm3.linear_1",
        "adaln_modulation_mlp.2": "norm3.linear_2",
        "self_attn": "attn1",
        "cross_attn": "attn2",
        "q_proj": "to_q",
        "k_proj": "to_k",
        "v_proj": "to_v",
        "output_proj": "to_out.0",
        "q_norm": "norm_q",
        "k_norm": "norm_k",
        "mlp.layer1": "ff.net.0.proj",
        "mlp.layer2": "ff.net.2",
        "x_embedder.proj.1": "patch_embed.proj",
        "final_layer.adaln_modulation.1": "norm_out.linear_1",
        "final_layer.adaln_modulation.2": "norm_out.linear_2",
        "final_layer.linear": "proj_out",
    },
)


def _image(size: str, heads: int, head_width: int, layers: int) -> Variant:
    return Variant(
        generation=GENERATION,
        name=f"Predict2 {size} Text2Image",
        heads=heads,
        head_width=head_width,
        layers=layers,
        in_channels=16,
        rope_scale=(1.0, 4.0, 4.0),
    )


def _world(size: str, heads: int, layers: int, rope_scale: tuple[float, float, float]) -> Variant:
    return Variant(
        generation=GENERATION,
        name=f"Predict2 {size} Video2World",
        heads=heads,
        head_width=128,
        layers=layers,
        in_channels=17,
        rope_scale=rope_scale,
        neighbourhoods=f"predict2-{size.lower()}",
    )


SIZES = {
    "0.6b": (_image("0.6B", 20, 64, 20), None),
    "2b": (_image("2B", 16, 128, 28), _world("2B", 16, 28, (1.0, 3.0, 3.0))),
    "14b": (_image("14B", 40, 128, 36), _world("14B", 40, 36, (20 / 24, 2.0, 2.0))),
}
VARIANTS = {f"predict2-{size}-text2image{end}": image for size, (image, _) in SIZES.items() for end in IMAGE_FILES} | {
    f"predict2-{size}-video2world-{end}": world
    for size, (_, world) in SIZES.items()
    if world is not None
    for end in WORLD_FILES
}
