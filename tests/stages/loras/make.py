"""Wrote the LoRAs of this folder, and what diffusers and PEFT compute under them. Wants the package `peft`, which no test does.

    PYTHONPATH=tests python tests/stages/loras/make.py MODELS

`MODELS` has the tiny components, as `build/tiny.py` makes them. Written with peft 0.21.2 and diffusers 0.42.1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import peft
import torch
from diffusers import Cosmos2_5_PredictBasePipeline, CosmosTransformer3DModel
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file

from stages.loras.asked import ANSWERS, DIFFUSERS, HERE, PEFT, inputs
from stages.setting import WORLD

TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "net.2"]


def network(models_dir: Path) -> Any:
    return CosmosTransformer3DModel.from_pretrained(models_dir / WORLD).eval()


def trained(models_dir: Path, config: LoraConfig) -> Any:
    """The network under a LoRA whose matrices are no zeros, as after some training."""
    torch.manual_seed(5)
    return get_peft_model(network(models_dir), config).eval()


def as_diffusers(models_dir: Path) -> None:
    """What a pipeline saves: plain names under `transformer.`, the configuration in the file."""
    config = LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS, init_lora_weights=False)
    layers = get_peft_model_state_dict(trained(models_dir, config))
    plain = {name.removeprefix("base_model.model."): matrix for name, matrix in layers.items()}
    told = {"r": 4, "lora_alpha": 6, "target_modules": TARGETS}
    Cosmos2_5_PredictBasePipeline.save_lora_weights(HERE / DIFFUSERS, plain, transformer_lora_adapter_metadata=told)


def as_peft(models_dir: Path) -> None:
    """With a rank and an alpha of some layers' own, and stabilised."""
    config = LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=TARGETS,
        init_lora_weights=False,
        use_rslora=True,
        rank_pattern={"transformer_blocks.1.attn1.to_q": 2},
        alpha_pattern={"attn2.to_q": 3},
    )
    trained(models_dir, config).save_pretrained(HERE / PEFT)
    (HERE / PEFT / "README.md").unlink(missing_ok=True)
    told = json.loads((HERE / PEFT / "adapter_config.json").read_text())
    told["base_model_name_or_path"] = WORLD
    (HERE / PEFT / "adapter_config.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


def evaluated(module: Any) -> torch.Tensor:
    asked = inputs()
    module.register_to_config(concat_padding_mask=False)
    asked["condition_mask"] = torch.cat([asked["condition_mask"], torch.zeros_like(asked["condition_mask"])], dim=1)
    with torch.inference_mode():
        answer: torch.Tensor = module(**asked, return_dict=False)[0]
    return answer


def under_diffusers(models_dir: Path, scale: float) -> torch.Tensor:
    module = network(models_dir)
    layers, told = Cosmos2_5_PredictBasePipeline.lora_state_dict(str(HERE / DIFFUSERS), return_lora_metadata=True)
    Cosmos2_5_PredictBasePipeline.load_lora_into_transformer(layers, module, adapter_name="any", metadata=told)
    module.set_adapters("any", scale)
    return evaluated(module)


def under_peft(models_dir: Path) -> torch.Tensor:
    return evaluated(peft.PeftModel.from_pretrained(network(models_dir), str(HERE / PEFT)).eval().base_model.model)


if __name__ == "__main__":
    models = Path(sys.argv[1])
    as_diffusers(models)
    as_peft(models)
    answers = {f"{DIFFUSERS} {scale}": under_diffusers(models, scale) for scale in (1.0, 0.3)}
    save_file(answers | {f"{PEFT} 1.0": under_peft(models)}, ANSWERS)
