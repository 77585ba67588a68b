"""The pipeline of diffusers for Predict2.5, made of the same components."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, Cosmos2_5_PredictBasePipeline, CosmosTransformer3DModel, UniPCMultistepScheduler
from diffusers.pipelines.cosmos import pipeline_cosmos2_5_predict
from PIL import Image
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from orrery.worlds.catalog.models import ModelSpec
from stages.reference import NoSafetyChecker, Result, kept_run, load, stand_in_for_torchvision


class Reference25:
    """With the scheduler of the released 2B. Its networks are in `dtype`; its text encoder can see and speak too."""

    def __init__(self, models_dir: Path, model: ModelSpec, dtype: torch.dtype = torch.float32):
        assert model.world is not None
        text_encoder = models_dir / model.text_encoder
        self.pipeline = Cosmos2_5_PredictBasePipeline(
            text_encoder=Qwen2_5_VLForConditionalGeneration.from_pretrained(text_encoder, dtype=dtype).eval(),
            tokenizer=AutoTokenizer.from_pretrained(text_encoder / "tokenizer"),
            transformer=load(CosmosTransformer3DModel, models_dir / model.world.component).to(dtype),
            vae=load(AutoencoderKLWan, models_dir / model.video_tokenizer),
            scheduler=UniPCMultistepScheduler(
                use_karras_sigmas=True,
                use_flow_sigmas=True,
                prediction_type="flow_prediction",
                sigma_max=200.0,
                sigma_min=0.01,
            ),
            safety_checker=NoSafetyChecker(),
        )
        self.pipeline.set_progress_bar_config(disable=True)

    def world(self, conditioning: np.ndarray | None, *, as_image: bool = False, **arguments: Any) -> Result:
        """From text alone, from one image, or from the last frames of a clip: as many latent frames as they make."""
        if conditioning is None:
            return kept_run(self.pipeline, **arguments)
        pictures = [Image.fromarray(frame) for frame in conditioning]
        if as_image:
            return kept_run(self.pipeline, image=pictures[0], **arguments)
        latent_frames = (len(pictures) - 1) // 4 + 1
        return kept_run(self.pipeline, video=pictures, num_latent_conditional_frames=latent_frames, **arguments)

    def conditioning(self, frames: np.ndarray, num_frames: int) -> np.ndarray:
        """The pipeline's own latents [16, t, h, w] of the frames that it is given."""
        height, width = frames.shape[1:3]
        padded = [Image.fromarray(frame) for frame in frames] + [Image.fromarray(frames[-1])] * (num_frames - len(frames))
        with torch.inference_mode():
            latents = self.pipeline.prepare_latents(
                video=self.pipeline.video_processor.preprocess_video(padded, height, width),
                batch_size=1,
                height=height,
                width=width,
                num_frames_in=len(frames),
                num_frames_out=num_frames,
                dtype=torch.float32,
                device=torch.device("cpu"),
            )[1]
        return latents[0, :, : (len(frames) - 1) // 4 + 1].numpy()

    def text(self, prompt: str) -> np.ndarray:
        """What the blocks of the transformer are given of a prompt: the embeddings of the pipeline, projected."""
        with torch.inference_mode():
            states = self.pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)[0]
            return self.pipeline.transformer.crossattn_proj(states)[0].numpy()


def stand_in_for_torchvision25(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the transformer calls of torchvision, and the one function that the pipeline does: a picture as floats."""
    stand_in_for_torchvision(monkeypatch)

    def to_tensor(picture: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255

    functional = SimpleNamespace(to_tensor=to_tensor)
    monkeypatch.setattr(
        pipeline_cosmos2_5_predict,
        "torchvision",
        SimpleNamespace(transforms=SimpleNamespace(functional=functional)),
        raising=False,
    )
