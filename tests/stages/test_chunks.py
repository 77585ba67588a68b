"""A film in chunks has the pixels of a straight loop, and no stage sees more of it than one chunk."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from orrery.worlds.catalog.models import ChunkSpec, IntRange, ModelSpec, Workflow
from orrery.worlds.catalog.predict2 import TINY
from orrery.worlds.errors import InvalidField
from orrery.worlds.plan import ArtifactRef
from orrery.worlds.planner import plan
from orrery.worlds.requests import RequestedWorld, settle
from stages.setting import TEXT_ENCODER, VIDEO_TOKENIZER, WORLD, PlainCall, Stages, clip, run_plan

HEIGHT = WIDTH = 96
STEPS = 2
CLIP = ArtifactRef(digest="c" * 64, size=1)


class Loop:
    """The official scripts' loops, written straight over the stages."""

    def __init__(self, stages: Stages) -> None:
        self.stages, self.call = stages, PlainCall(stages)
        self.text = self.run("text_encoder", component=TEXT_ENCODER, prompt="it moves")["text_embeddings"]

    def run(self, stage: str, **values: Any) -> dict[str, Any]:
        return dict(self.stages[stage].run(values, self.call))

    def chunk(self, given: np.ndarray | None, seed: int, num_frames: int) -> np.ndarray:
        values: dict[str, Any] = {"text_embeddings": self.text, "component": WORLD, "sampler": "res_2ab", "seed": seed}
        values |= {"num_inference_steps": STEPS, "guidance_scale": 0.0}
        values["latent_shape"] = np.array([1 + (num_frames - 1) // 4, HEIGHT // 8, WIDTH // 8], np.int32)
        if given is not None:
            size = {"height": HEIGHT, "width": WIDTH}
            encoded = self.run("video_encoder", component=VIDEO_TOKENIZER, frames=given, **size)
            values["condition_latents"] = encoded["latents"]
        latents = self.run("denoiser", **values)["latents"]
        return np.asarray(self.run("video_decoder", component=VIDEO_TOKENIZER, latents=latents)["frames"])

    def predict2(self, given: np.ndarray, *, count: int, num_frames: int, overlap: int, seed: int) -> np.ndarray:
        """`examples/video2world_lvg.py`."""
        chunks: list[np.ndarray] = []
        for index in range(count):
            video = self.chunk(given, seed, num_frames)
            chunks.append(video if index == 0 else video[overlap:])
            given = video[-overlap:]
        return np.concatenate(chunks)

    def predict25(self, given: np.ndarray, *, total: int, size: int, overlap: int, made: int, seed: int) -> np.ndarray:
        """`generate_autoregressive_from_batch`."""
        film = np.zeros((total, HEIGHT, WIDTH, 3), np.uint8)
        film[: len(given)] = given
        chunks: list[np.ndarray] = []
        count = 1 + (max(0, total - size) + size - overlap - 1) // (size - overlap)
        for index in range(count):
            start = index * (size - overlap)
            end = min(start + size, total)
            conditional = len(given) if index == 0 else overlap
            video = self.chunk(film[start : start + conditional], seed + index, made)[: end - start]
            chunks.append(video if index == 0 else video[overlap:])
            film[start + conditional : end] = video[conditional:]
        return np.concatenate(chunks)


def planned(model: ModelSpec, stages: Stages, given: np.ndarray, **fields: Any) -> dict[str, dict[str, Any]]:
    fields |= {"guidance_scale": 0.0, "num_inference_steps": STEPS, "size": "96x96", "output_format": "mkv"}
    fields["num_conditional_frames"] = len(given)
    request = settle(RequestedWorld(prompt="it moves", **fields), model, Workflow.VIDEO2WORLD, conditioning=CLIP)
    return run_plan(plan(request, model), stages, {CLIP.digest: given})


def shown(film: Any) -> np.ndarray:
    with av.open(io.BytesIO(film.tobytes())) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.fixture(scope="module")
def measured() -> ModelSpec:
    """The tiny model with Predict2.5's way of long films: 17 frames a pass, of which 13 stay."""
    assert TINY.world is not None
    chunks = ChunkSpec(sizes=IntRange(minimum=6, maximum=17), default_size=13, seed_step=1)
    frames = {"num_frames": IntRange(minimum=5, maximum=17, step=4), "chunks": chunks}
    return TINY.model_copy(update={"world": TINY.world.model_copy(update=frames)})


@pytest.mark.parametrize(("conditional", "overlap"), [(1, 1), (5, 5)])
def test_counted_chunks_are_the_official_loop(conditional: int, overlap: int, stages: Stages) -> None:
    given = clip(conditional, HEIGHT, WIDTH)
    asked = {"num_chunks": 3, "num_frames": 9, "chunk_overlap": overlap, "seed": 11}
    done = planned(TINY, stages, given, **asked)
    expected = Loop(stages).predict2(given, count=3, num_frames=9, overlap=overlap, seed=11)
    assert len(expected) == 9 + 2 * (9 - overlap)
    assert np.array_equal(shown(done["publish"]["media"]), expected)


def test_measured_chunks_are_the_official_loop(measured: ModelSpec, stages: Stages) -> None:
    given = clip(5, HEIGHT, WIDTH)
    done = planned(measured, stages, given, num_frames=32, seed=11)
    expected = Loop(stages).predict25(given, total=32, size=13, overlap=1, made=17, seed=11)
    assert len(expected) == 32
    assert [len(done[name]["frames"]) for name in ("decode_video", "decode_video_2", "decode_video_3")] == [13, 13, 8]
    assert np.array_equal(shown(done["publish"]["media"]), expected)


def test_the_pictures_of_a_film_in_chunks_are_of_all_of_it(stages: Stages) -> None:
    first, second = np.zeros((9, 96, 176, 3), np.uint8), np.zeros((9, 96, 176, 3), np.uint8)
    first[:], second[:] = (250, 0, 0), (0, 0, 250)
    film: dict[str, Any] = {"fps": 16, "output_format": "mkv"}
    call = PlainCall(stages)
    prelude = stages["publisher"].run(film | {"frames": first}, call)["media"]
    goes_on = film | {"frames": second, "prelude": prelude, "overlap": 1}
    whole = stages["publisher"].run(goes_on | {"whole": True}, call)
    sheet = np.asarray(Image.open(io.BytesIO(whole["spritesheet"].tobytes()))).astype(int)
    assert sheet.shape[:2] == (4 * 87, 5 * 160)
    assert np.abs(sheet[43, 80] - (250, 0, 0)).max() < 12
    assert np.abs(sheet[3 * 87 + 43, 160 + 80] - (0, 0, 250)).max() < 12
    middle = np.asarray(Image.open(io.BytesIO(whole["thumbnail"].tobytes())))
    assert np.abs(middle[43, 80].astype(int) - (250, 0, 0)).max() < 12
    part = stages["publisher"].run(goes_on, call)
    assert part["media"].tobytes() == whole["media"].tobytes()
    assert part["spritesheet"].tobytes() != whole["spritesheet"].tobytes()


def test_a_part_of_the_latents_is_decoded_as_in_the_whole(stages: Stages) -> None:
    latents = np.random.RandomState(0).standard_normal((16, 4, 6, 6)).astype(np.float32)
    values = {"component": VIDEO_TOKENIZER, "latents": latents}
    whole = stages["video_decoder"].run(values, PlainCall(stages))["frames"]
    for count in (1, 4, 5, 6, 13):
        part = stages["video_decoder"].run(values | {"num_frames": count}, PlainCall(stages))["frames"]
        assert np.array_equal(part, whole[:count])
    with pytest.raises(InvalidField, match="13 frames"):
        stages["video_decoder"].run(values | {"num_frames": 14}, PlainCall(stages))


def test_the_last_frames_are_encoded_as_if_there_were_no_others(stages: Stages) -> None:
    frames = clip(9, HEIGHT, WIDTH)
    values = {"component": VIDEO_TOKENIZER, "height": HEIGHT, "width": WIDTH}
    for count in (1, 5):
        last = stages["video_encoder"].run(values | {"frames": frames, "last_frames": count}, PlainCall(stages))["latents"]
        alone = stages["video_encoder"].run(values | {"frames": frames[-count:]}, PlainCall(stages))["latents"]
        assert last.tobytes() == alone.tobytes()
    with pytest.raises(InvalidField, match="9 frames"):
        stages["video_encoder"].run(values | {"frames": frames, "last_frames": 10}, PlainCall(stages))
