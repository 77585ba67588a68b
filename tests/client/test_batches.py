"""`orrery batch` while the batch runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.terminal import Shell, shell_of
from gateway.rig import VIDEO, eventually
from orrery.client import batches
from orrery.client.cli import app
from orrery.worlds.errors import InvalidField, StageFailed


async def jobs_of(shell: Shell, count: int) -> list[str]:
    jobs = (await shell.rig.jobs.list(after=None, limit=10, order="asc")).jobs
    return [job.id for job in jobs] if len(jobs) == count else []


async def test_videos_come_as_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LOOK_SECONDS", 0.0)
    file, made = tmp_path / "many.jsonl", tmp_path / "made"
    file.write_text("".join(json.dumps({"custom_id": name, "prompt": name}) + "\n" for name in ("one", "two")))

    async def there() -> bool:
        return len(list(made.glob("*.mp4"))) == 1

    async with shell_of(tmp_path) as shell:
        words = ["batch", str(file), "-o", str(made), "--url", shell.url]
        running = asyncio.create_task(asyncio.to_thread(CliRunner().invoke, app, words))
        first, second = await eventually(lambda: jobs_of(shell, 2))
        await shell.rig.work(first)
        await eventually(there)
        assert not (await shell.rig.jobs.get(second)).state.ended
        await shell.rig.work(second)
        done = await running
    assert (done.exit_code, done.exception) == (0, None)
    assert {path.name: path.read_bytes() for path in made.glob("*.mp4")} == {"one.mp4": VIDEO, "two.mp4": VIDEO}
    assert len((made / batches.RESULTS).read_text().splitlines()) == 2


async def test_a_batch_is_left_to_itself(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text('{"prompt": "one"}\n')
    async with shell_of(tmp_path) as shell:
        done = await shell.run("batch", "many.jsonl", "--detach")
        assert (await shell.rig.client.get(f"/v1/batches/{done.out.strip()}")).json()["object"] == "batch"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no JSON"),
        ("[]", "no object"),
        ('{"body": 1}', "body: this is no object"),
        ('{"custom_id": "a/b", "prompt": "p"}', "no new name for a file"),
        ('{"custom_id": "0", "prompt": "p"}', "no new name for a file"),
        ('{"custom_id": "c", "url": "/v1/images/generations", "body": {"prompt": "p"}}', "only videos"),
        ('{"prompt": "p", "input_reference": "gone.png"}', "there is no file"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "many.jsonl").write_text(f'{{"prompt": "fine"}}\n\n{line}\n')
    with pytest.raises(InvalidField, match=why) as refused:
        batches.read_requests(tmp_path / "many.jsonl")
    assert "many.jsonl line 3" in refused.value.message


def test_references_that_the_gateway_reads_are_left_to_it(tmp_path: Path) -> None:
    references: list[Any] = ["data:image/png;base64,AA==", "https://example.com/a.png", {"file_id": "file-1"}, "file-1"]
    (tmp_path / "in.png").write_bytes(b"image")
    lines = [{"prompt": "p", "input_reference": reference} for reference in (*references, "in.png")]
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = [body["input_reference"] for _, body in batches.read_requests(tmp_path / "many.jsonl")]
    assert found == [*references, tmp_path / "in.png"]


async def test_a_batch_that_is_refused_says_why(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    async with shell_of(tmp_path, max_batch_lines=1) as shell:
        words = ["batch", str(tmp_path / "many.jsonl"), "-o", str(tmp_path / "made"), "--url", shell.url]
        done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert isinstance(done.exception, StageFailed)
    assert "more than 1 lines" in done.exception.message
