from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from orrery.stages.stage import Cancelled
from orrery.worlds.errors import InvalidField
from stages.setting import PlainCall, Stages, clip, picture

WITHOUT_TORCH = """
import hashlib, sys
from pathlib import Path

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "diffusers", "transformers"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTorch())
from orrery.stages.publisher import Publisher
from orrery.stages.stage import StageSettings
from stages.setting import PlainCall, clip

for output_format in ("mp4", "mkv"):
    values = {"frames": clip(6, 96, 176), "fps": 16, "output_format": output_format}
    made = Publisher(StageSettings(Path("."))).run(values, PlainCall({}))
    print(hashlib.sha256(made["media"].tobytes()).hexdigest(), hashlib.sha256(made["thumbnail"].tobytes()).hexdigest())
"""


def publish(stages: Stages, frames: np.ndarray, output_format: str, fps: int = 16) -> dict[str, bytes]:
    values = {"frames": frames, "fps": fps, "output_format": output_format}
    return {name: array.tobytes() for name, array in stages["publisher"].run(values, PlainCall(stages)).items()}


def test_lossless_means_every_pixel(stages: Stages) -> None:
    frames = np.random.RandomState(0).randint(0, 256, (7, 96, 176, 3), np.uint8)
    with av.open(io.BytesIO(publish(stages, frames, "mkv")["media"])) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == ("ffv1", "bgr0", 16)
        published = np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])
    assert np.array_equal(published, frames)


@pytest.mark.parametrize(("num_frames", "fps"), [(1, 16), (5, 10), (17, 16)])
def test_mp4_has_the_frames_size_and_rate_asked_for(num_frames: int, fps: int, stages: Stages) -> None:
    frames = clip(num_frames, 96, 176)
    media = publish(stages, frames, "mp4", fps)["media"]
    with av.open(io.BytesIO(media)) as film:
        stream = film.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 176, 96)
        assert (stream.average_rate, stream.frames) == (fps, num_frames)
        decoded = list(film.decode(video=0))
    assert [frame.time for frame in decoded] == pytest.approx([index / fps for index in range(num_frames)])


def test_mp4_shows_the_colours_it_was_given(stages: Stages) -> None:
    frames = np.empty((3, 96, 192, 3), np.uint8)
    for index, colour in enumerate([(200, 30, 30), (30, 180, 60), (40, 60, 220)]):
        frames[:, :, 64 * index : 64 * (index + 1)] = colour
    with av.open(io.BytesIO(publish(stages, frames, "mp4")["media"])) as film:
        frame = next(film.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (Colorspace.ITU709, ColorRange.MPEG)
    shown = frame.to_ndarray(format="rgb24").astype(int)
    assert np.abs(shown - frames[0])[48, 32::64].max() <= 3


def test_mp4_starts_with_its_index(stages: Stages) -> None:
    media = publish(stages, clip(5, 96, 176), "mp4")["media"]
    assert 0 < media.index(b"moov") < media.index(b"mdat")


def test_an_image_is_a_png(stages: Stages) -> None:
    frames = clip(1, 96, 176)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(publish(stages, frames, "png")["media"]))), frames[0])


@pytest.mark.parametrize(("height", "width", "expected"), [(96, 176, (160, 87)), (704, 1280, (160, 88)), (96, 48, (48, 96))])
def test_the_thumbnail_is_the_middle_frame(height: int, width: int, expected: tuple[int, int], stages: Stages) -> None:
    frames = np.zeros((5, height, width, 3), np.uint8)
    frames[2] = picture(height, width)
    image = Image.open(io.BytesIO(publish(stages, frames, "mkv")["thumbnail"]))
    assert image.size == expected
    assert np.asarray(image).mean() == pytest.approx(frames[2].mean(), abs=2)


@pytest.mark.parametrize(("num_frames", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (5, 3, 2), (25, 5, 5), (93, 5, 5)], ids=str)
def test_a_spritesheet_shows_frames_from_first_to_last(num_frames: int, columns: int, rows: int, stages: Stages) -> None:
    frames = np.zeros((num_frames, 96, 176, 3), np.uint8)
    frames[0], frames[-1] = (250, 0, 0), (0, 250, 0)
    image = Image.open(io.BytesIO(publish(stages, frames, "mkv")["spritesheet"]))
    assert image.format == "JPEG"
    assert image.size == (columns * 160, rows * 87)
    tiles = min(num_frames, 25)
    row, column = divmod(tiles - 1, columns)
    last = np.asarray(image)[row * 87 + 43, column * 160 + 80].astype(int)
    assert np.abs(last - (0, 250, 0)).max() < 12
    if num_frames > 1:
        assert np.abs(np.asarray(image)[43, 80].astype(int) - (250, 0, 0)).max() < 12


@pytest.mark.parametrize("output_format", ["mp4", "mkv"])
def test_a_film_goes_on_from_its_prelude(output_format: str, stages: Stages) -> None:
    """The old frames are copied as they are, and the new ones follow at the same pace: also of a film that has a prelude."""
    frames = clip(21, 96, 176)

    def go_on(prelude: bytes, new: np.ndarray) -> bytes:
        values = {"frames": new, "fps": 10, "output_format": output_format, "overlap": 1}
        values["prelude"] = np.frombuffer(prelude, np.uint8)
        return stages["publisher"].run(values, PlainCall(stages))["media"].tobytes()

    first = publish(stages, frames[:9], output_format, 10)["media"]
    second = go_on(first, frames[8:14])
    third = go_on(second, frames[13:])
    (old, _), (new, _), (whole, times) = decoded(first), decoded(second), decoded(third)
    assert len(whole) == 21
    assert times == pytest.approx([index / 10 for index in range(21)])
    assert np.array_equal(whole[:14], new)
    assert np.array_equal(whole[:9], old)
    away = np.abs(whole[:, None].astype(np.int16) - frames[None]).mean(axis=(2, 3, 4))
    assert list(away.argmin(axis=1)) == list(range(21))
    assert go_on(second, frames[13:]) == third


def decoded(film: bytes) -> tuple[np.ndarray, list[float]]:
    with av.open(io.BytesIO(film)) as container:
        frames = list(container.decode(video=0))
    return np.stack([frame.to_ndarray(format="rgb24") for frame in frames]), [frame.time for frame in frames]


def test_a_prelude_of_another_kind_is_refused(stages: Stages) -> None:
    prelude = np.frombuffer(publish(stages, clip(5, 96, 96), "mp4")["media"], np.uint8)
    for output_format in ("mp4", "mkv"):
        values = {"frames": clip(5, 96, 176), "fps": 16, "output_format": output_format, "prelude": prelude, "overlap": 1}
        with pytest.raises(InvalidField) as refusal:
            stages["publisher"].run(values, PlainCall(stages))
        assert refusal.value.field == "prelude"


def test_same_bytes_in_another_process_without_torch(stages: Stages) -> None:
    here = [publish(stages, clip(6, 96, 176), name) for name in ("mp4", "mkv")]
    digests = [" ".join(hashlib.sha256(made[key]).hexdigest() for key in ("media", "thumbnail")) for made in here]
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], env=environment, capture_output=True, text=True, check=False
    )
    assert process.stdout.splitlines() == digests, process.stderr


@pytest.mark.parametrize(
    ("num_frames", "output_format", "field"), [(5, "png", "output_format"), (5, "gif", "output_format"), (0, "mp4", "frames")]
)
def test_what_cannot_be_published_is_refused(num_frames: int, output_format: str, field: str, stages: Stages) -> None:
    with pytest.raises(InvalidField) as refusal:
        publish(stages, np.zeros((num_frames, 96, 96, 3), np.uint8), output_format)
    assert refusal.value.field == field


def test_publishing_can_be_cancelled(stages: Stages) -> None:
    values = {"frames": clip(5, 96, 96), "fps": 16, "output_format": "mp4"}
    with pytest.raises(Cancelled):
        stages["publisher"].run(values, PlainCall(stages, steps_allowed=0))
