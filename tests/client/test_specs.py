"""NVIDIA's input files, read as their scripts read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orrery.client.specs import Wanted, read_specs
from orrery.worlds.errors import InvalidField


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With an image, a clip and a prompt beside the specs."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "in.jpg").write_bytes(b"image")
    (tmp_path / "assets" / "in.mp4").write_bytes(b"clip")
    (tmp_path / "assets" / "in.txt").write_text("a robot pours tea\n")
    return tmp_path


def read(folder: Path, content: Any, name: str = "spec.json") -> list[Wanted]:
    path = folder / name
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(line) + "\n" for line in content))
    else:
        path.write_text(json.dumps(content))
    return read_specs([path])


def told(wanted: Wanted, folder: Path) -> tuple[str, str | None, dict[str, Any]]:
    reference = wanted.reference and str(wanted.reference.relative_to(folder))
    return str(wanted.output), reference, wanted.parameters


def test_predict1_batches_are_lines_with_numbered_outputs(folder: Path) -> None:
    lines = [{"prompt": "one"}, {"prompt": "two", "visual_input": "assets/in.jpg"}]
    found = [told(one, folder) for one in read(folder, lines, "batch.jsonl")]
    assert found == [("0.mp4", None, {"prompt": "one"}), ("1.mp4", "assets/in.jpg", {"prompt": "two"})]


def test_a_sample_may_be_yaml_as_of_predict25(folder: Path) -> None:
    (folder / "a.yaml").write_text("inference_type: text2world\nname: a\nprompt: >\n  a robot\n  pours tea\nseed: 3\n")
    (found,) = read_specs([folder / "a.yaml"])
    assert told(found, folder) == ("a.mp4", None, {"prompt": "a robot pours tea\n", "seed": 3})


def test_empty_lines_count_for_nothing(folder: Path) -> None:
    (folder / "batch.jsonl").write_text('\n{"prompt": "one"}\n\n{"prompt": "two"}\n')
    assert [str(one.output) for one in read_specs([folder / "batch.jsonl"])] == ["0.mp4", "1.mp4"]


def test_older_formats_find_files_where_they_are_run_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "assets" / "spec").mkdir()
    monkeypatch.chdir(folder)
    sample = {"input_video": "assets/in.jpg", "prompt": "go on", "output_video": "a.mp4"}
    (found,) = read(folder / "assets" / "spec", sample)
    assert found.reference == Path("assets/in.jpg")
    with pytest.raises(InvalidField, match="input_path: there is no file"):
        read(folder / "assets" / "spec", PREDICT25)


def test_predict2_batches_are_arrays_that_name_their_outputs(folder: Path) -> None:
    video = {"input_video": "assets/in.mp4", "prompt": "go on", "output_video": "output/v0.mp4"}
    image = {"prompt": "a still", "output_image": "output/i0.jpg"}
    text = {"prompt": "a world", "output_video": "output/w0.mp4"}
    found = read(folder, [video, image, text])
    assert told(found[0], folder) == ("output/v0.mp4", "assets/in.mp4", {"prompt": "go on"})
    assert told(found[1], folder) == ("output/i0.jpg", None, {"prompt": "a still"})
    assert [one.is_image for one in found] == [False, True, False]


PREDICT25 = {"inference_type": "image2world", "name": "pouring", "prompt": "pour", "input_path": "assets/in.jpg"}


def test_predict25_samples_have_names_and_official_parameters(folder: Path) -> None:
    sample = PREDICT25 | {
        "negative_prompt": "blur",
        "seed": 3,
        "guidance": 5,
        "num_steps": 20,
        "num_output_frames": 77,
        "resolution": "704,1280",
        "enable_autoregressive": False,
        "chunk_size": 77,
        "chunk_overlap": 1,
    }
    parameters = {
        "prompt": "pour",
        "negative_prompt": "blur",
        "seed": 3,
        "guidance_scale": 5,
        "num_inference_steps": 20,
        "num_frames": 77,
        "size": "1280x704",
        "num_conditional_frames": 1,
    }
    (found,) = read(folder, sample)
    assert told(found, folder) == ("pouring.mp4", "assets/in.jpg", parameters)


def test_long_films_of_predict25_say_how_they_are_made(folder: Path) -> None:
    sample = PREDICT25 | {"num_output_frames": 300, "enable_autoregressive": True, "chunk_size": 93, "chunk_overlap": 1}
    (found,) = read(folder, sample)
    _, _, parameters = told(found, folder)
    assert {name: parameters[name] for name in ("num_frames", "chunk_size", "chunk_overlap")} == {
        "num_frames": 300,
        "chunk_size": 93,
        "chunk_overlap": 1,
    }
    assert "enable_autoregressive" not in parameters


@pytest.mark.parametrize(
    ("kind", "path", "reference", "frames"),
    [
        ("text2world", "assets/in.jpg", None, None),
        ("text2world", None, None, None),
        ("image2world", "assets/in.mp4", "assets/in.mp4", 1),
        ("video2world", "assets/in.mp4", "assets/in.mp4", 5),
        ("video2world", "assets/in.jpg", "assets/in.jpg", 1),
    ],
)
def test_the_inference_type_says_what_the_input_is_for(
    folder: Path, kind: str, path: str | None, reference: str | None, frames: int | None
) -> None:
    sample = {"inference_type": kind, "name": "a", "prompt": "p", "input_path": path, "resolution": "none"}
    (found,) = read(folder, sample)
    _, seen, parameters = told(found, folder)
    assert (seen, parameters.get("num_conditional_frames")) == (reference, frames)
    assert "size" not in parameters
    assert "resolution" not in parameters


def test_prompts_may_be_files_and_lines_may_be_many(folder: Path) -> None:
    lines = [
        {"inference_type": "text2world", "name": "a", "prompt_path": "assets/in.txt"},
        {"inference_type": "text2world", "name": "b", "prompt": "own", "prompt_path": "assets/in.txt"},
    ]
    assert [one.parameters["prompt"] for one in read(folder, lines, "many.jsonl")] == ["a robot pours tea", "own"]


@pytest.mark.parametrize(
    ("sample", "field", "why"),
    [
        ({"prompt": "p", "visual_input": "gone.jpg"}, "visual_input", "there is no file"),
        ({"visual_input": "assets/in.jpg"}, "prompt", "Orrery makes none up"),
        ({"prompt": "p", "input_video": "assets", "output_video": "a.mp4"}, "input_video", "there is no file"),
        ({"prompt": "p", "input_video": "assets/in.mp4"}, "output_video", "neither output_video nor output_image"),
        ({"prompt": "p", "output_video": "../a.mp4"}, "output_video", "names no output"),
        ({"prompt": 4, "output_video": "a.mp4"}, "prompt", "is no str"),
        ({"promt": "p"}, "promt", "did you mean prompt"),
        ({"prompt": "p", "output_video": "a.mp4", "seed": 1}, "seed", "a key of Predict2.5, and the others are of Predict2"),
        (PREDICT25 | {"input_path": None}, "input_path", "image2world needs one"),
        (PREDICT25 | {"input_path": "gone.jpg"}, "input_path", "there is no file"),
        (PREDICT25 | {"inference_type": "action"}, "inference_type", "is not known"),
        (PREDICT25 | {"name": None}, "name", "a sample of Predict2.5 has one"),
        (PREDICT25 | {"prompt": None}, "prompt", "neither prompt nor prompt_path"),
        (PREDICT25 | {"resolution": "a,b"}, "resolution", "is no resolution"),
        (PREDICT25 | {"enable_autoregressive": 1}, "enable_autoregressive", "no bool"),
        (PREDICT25 | {"seed": True}, "seed", "is no int"),
        ("text", None, "this is no object"),
    ],
)
def test_a_fault_is_named_with_its_line_and_key(folder: Path, sample: Any, field: str | None, why: str) -> None:
    with pytest.raises(InvalidField, match=why) as refused:
        read(folder, [{"prompt": "fine"}, sample], "spec.jsonl")
    assert refused.value.field == field
    assert "spec.jsonl line 2" in refused.value.message


def test_files_that_are_none_of_the_formats_are_refused(folder: Path) -> None:
    (folder / "a.json").write_text('{"prompt": ')
    (folder / "a.yaml").write_text("prompt: [")
    (folder / "a.toml").write_text("prompt = 1")
    with pytest.raises(InvalidField, match="no JSON"):
        read_specs([folder / "a.json"])
    with pytest.raises(InvalidField, match="no YAML"):
        read_specs([folder / "a.yaml"])
    with pytest.raises(InvalidField, match=r"\.toml is not read") as refused:
        read_specs([folder / "a.toml"])
    assert refused.value.allowed == [".json", ".jsonl", ".yaml", ".yml"]


def test_two_samples_never_share_an_output(folder: Path) -> None:
    sample = {"inference_type": "text2world", "name": "a", "prompt": "p"}
    with pytest.raises(InvalidField, match=r"a\.mp4 is made by .*spec\.jsonl line 1 already"):
        read(folder, [sample, sample], "spec.jsonl")
