"""The pipelines of diffusers, made of the same components: the numbers to be equal to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKLWan,
    Cosmos2TextToImagePipeline,
    Cosmos2VideoToWorldPipeline,
    CosmosTransformer3DModel,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.models.transformers import transformer_cosmos
from PIL import Image
from safetensors.torch import load_file
from transformers import T5EncoderModel, T5TokenizerFast

from orrery.worlds.catalog import predict2
from orrery.worlds.catalog.models import ModelSpec


class NoSafetyChecker:
    """The pipelines refuse to run without one."""

    def to(self, device: Any) -> None:
        """Nothing to move."""

    def check_text_safety(self, prompt: str) -> bool:
        return True

    def check_video_safety(self, frames: np.ndarray) -> np.ndarray:
        return frames


@dataclass(frozen=True)
class Result:
    """Latents [16, t, h, w] after the last step, and uint8 frames [T, H, W, 3]."""

    latents: np.ndarray
    frames: np.ndarray


class Pipelines:
    """Of diffusers over the components of a model whose text goes through T5; FP32, on the CPU."""

    def __init__(self, models_dir: Path, model: ModelSpec, video_tokenizer: Any, scheduler: Callable[[], Any]):
        self.models_dir = models_dir
        self.tokenizer = T5TokenizerFast.from_pretrained(models_dir / model.text_encoder / "tokenizer")
        self.text_encoder = T5EncoderModel.from_pretrained(models_dir / model.text_encoder).float().eval()
        self.vae = load(video_tokenizer, models_dir / model.video_tokenizer)
        self.scheduler = scheduler

    def pipeline(self, cls: Any, component: str) -> Any:
        pipeline = cls(
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            transformer=load(CosmosTransformer3DModel, self.models_dir / component),
            vae=self.vae,
            scheduler=self.scheduler(),
            safety_checker=NoSafetyChecker(),
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


class Reference(Pipelines):
    """Both pipelines of Predict2, of the tiny model if not told otherwise."""

    def __init__(self, models_dir: Path, model: ModelSpec = predict2.TINY):
        super().__init__(models_dir, model, AutoencoderKLWan, lambda: FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True))
        assert model.image is not None
        assert model.world is not None
        self.image = self.pipeline(Cosmos2TextToImagePipeline, model.image.component)
        self.world = self.pipeline(Cosmos2VideoToWorldPipeline, model.world.component)

    def text2image(self, **arguments: Any) -> Result:
        return kept_run(self.image, **arguments)

    def video2world(self, conditioning: np.ndarray, **arguments: Any) -> Result:
        return kept_run(self.world, fps=16, **given(conditioning), **arguments)


def given(conditioning: np.ndarray) -> dict[str, Any]:
    """An image or a clip, as the pipelines that make worlds take them."""
    pictures = [Image.fromarray(frame) for frame in conditioning]
    return {"image": pictures[0]} if len(pictures) == 1 else {"video": pictures}


def load(cls: Any, folder: Path) -> Any:
    """As `from_pretrained`, which for the transformer does not work without the accelerate package."""
    model = cls.from_config(cls.load_config(folder))
    model.load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"))
    return model.eval()


def kept_run(pipeline: Any, *, seed: int, **arguments: Any) -> Result:
    """What a pipeline makes with a CPU generator of this seed."""
    steps: list[torch.Tensor] = []

    def keep(pipe: Any, step: int, timestep: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        steps.append(tensors["latents"])
        return tensors

    generator = torch.Generator().manual_seed(seed)
    output = pipeline(**arguments, generator=generator, callback_on_step_end=keep, output_type="np")
    frames = output.frames[0] if hasattr(output, "frames") else output.images
    return Result(steps[-1][0].numpy(), np.rint(frames * 255).astype(np.uint8))


def stand_in_for_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one function of torchvision that the transformer calls: nearest-neighbour resizing of the padding mask."""

    def resize(mask: torch.Tensor, size: list[int], interpolation: str) -> torch.Tensor:
        return torch.nn.functional.interpolate(mask, size=size, mode=interpolation)

    transforms = SimpleNamespace(
        functional=SimpleNamespace(resize=resize), InterpolationMode=SimpleNamespace(NEAREST="nearest")
    )
    monkeypatch.setattr(transformer_cosmos, "transforms", transforms, raising=False)
