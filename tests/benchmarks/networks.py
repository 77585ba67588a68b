"""A transformer of Predict2's real width and few layers, as a component; its weights are random."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import CosmosTransformer3DModel

from orrery.worlds.components import ComponentKind, write_manifest

WIDTH = {"num_attention_heads": 16, "attention_head_dim": 128, "adaln_lora_dim": 256, "text_embed_dim": 1024}
REST = {"mlp_ratio": 4.0, "rope_scale": (1.0, 3.0, 3.0), "concat_padding_mask": True, "extra_pos_embed_type": None}
WORDS = 512


def network(layers: int, in_channels: int = 17) -> Any:
    """In BF16, on torch's default device."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        torch.manual_seed(0)
        return CosmosTransformer3DModel(in_channels=in_channels, out_channels=16, num_layers=layers, **WIDTH, **REST).eval()
    finally:
        torch.set_default_dtype(before)


def component(models_dir: Path, name: str, layers: int, shard: str) -> Path:
    """A folder of it, in files of up to `shard`, as `200MB`."""
    folder = models_dir / name
    network(layers).save_pretrained(folder, max_shard_size=shard)
    write_manifest(folder, ComponentKind.TRANSFORMER, random_weights=True)
    return folder


def asked(frames: int, height: int, width: int, device: torch.device, words: int = WORDS) -> dict[str, Any]:
    """What an engine is asked for a clip of so many latents, of which the first frame is given."""
    generator = torch.Generator().manual_seed(0)
    hidden, text = (torch.randn(shape, generator=generator) for shape in ((1, 16, frames, height, width), (1, words, 1024)))
    times, mask = torch.full((1, 1, frames, 1, 1), 0.7), torch.zeros((1, 1, frames, height, width))
    times[:, :, :1], mask[:, :, :1] = 1e-4, 1
    tensors = {"hidden_states": hidden, "timestep": times, "encoder_hidden_states": text, "condition_mask": mask}
    return {name: tensor.to(device) for name, tensor in tensors.items()} | {"rope_fps": None}


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Until the device is done."""
    started = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
