"""`orrery batch`: many requests in one file, their videos in one folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from orrery.client.options import Connection, Json, expanded
from orrery.worlds.errors import InvalidField, OrreryError, StageFailed, from_dict

if TYPE_CHECKING:
    from orrery.sdk import Batch, Client

app = typer.Typer()

VIDEOS = "/v1/videos"
REFERENCE = "input_reference"
RESULTS = "results.jsonl"
REMOTE = ("data:", "https:", "http:", "file-")
"""How references begin that the gateway reads itself."""

LOOK_SECONDS = 5.0
"""Between two looks at what a running batch has made."""

KEPT_SECONDS = 2 * 24 * 3600
"""For what a batch has to be made: its window is a day."""

Requests = list[tuple[str, dict[str, Any]]]
"""Of each the name of its result and its body."""


@app.command()
@expanded
def batch(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSONL: bodies of requests, or OpenAI's lines.")],
    connection: Connection,
    output: Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="The folder of videos.")] = Path("outputs"),
    detach: Annotated[bool, typer.Option(help="Submits and does not wait.")] = False,
    as_json: Json = False,
) -> None:
    """Makes a video of each line of FILE. Called again, it makes only those that the folder does not have."""
    requests = [(name, body) for name, body in read_requests(file) if not _path(output, name, body).exists()]
    if not requests:
        typer.echo(f"{output} has all of {file}", err=True)
        return
    with connection.client() as client:
        taken = client.batch(_uploaded(client, requests))
        if detach:
            typer.echo(taken.model_dump_json(exclude_unset=True) if as_json else taken.id)
            return
        output.mkdir(parents=True, exist_ok=True)
        results = Results(client, taken.id, dict(requests), output, as_json=as_json)
        _follow(client, taken, results)
    if results.errors:
        typer.echo(f"{len(results.errors)} of {len(requests)} failed; {output / RESULTS} says why", err=True)
        raise results.errors[0]


def read_requests(file: Path) -> Requests:
    """Raises `InvalidField` naming the line and field at fault: bad JSON, a name used twice, a file that is not there."""
    requests: Requests = []
    seen: set[str] = set()
    lines = [(number, line) for number, line in enumerate(file.read_text().splitlines(), start=1) if line.strip()]
    for number, line in lines:
        place = f"{file} line {number}"
        name, body = _request(line, place, default=str(len(requests)))
        if name in seen or not name or "/" in name or name.startswith("."):
            raise InvalidField(f"{place}, custom_id: {name!r} is no new name for a file", field="custom_id")
        seen.add(name)
        requests.append((name, _with_path(body, file.parent, place)))
    return requests


def _request(line: str, place: str, *, default: str) -> tuple[str, dict[str, Any]]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidField(f"{place}: this is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidField(f"{place}: this is no object")
    if value.get("url", VIDEOS) != VIDEOS:
        raise InvalidField(f"{place}, url: only videos become files here", field="url", allowed=VIDEOS)
    name = str(value.pop("custom_id", default))
    body = value.get("body", value)
    if not isinstance(body, dict):
        raise InvalidField(f"{place}, body: this is no object", field="body")
    return name, body


def _with_path(body: dict[str, Any], folder: Path, place: str) -> dict[str, Any]:
    """A path, which is relative to the file of requests, is one that can be opened."""
    reference = body.get(REFERENCE)
    if not isinstance(reference, str):
        return body
    path = folder / reference
    if not reference.startswith("data:") and path.is_file():
        return body | {REFERENCE: path}
    if not reference.startswith(REMOTE):
        raise InvalidField(f"{place}, {REFERENCE}: there is no file {path}", field=REFERENCE)
    return body


def _uploaded(client: Client, requests: Requests) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every file is uploaded once, however many requests begin with it."""
    ids: dict[Path, str] = {}
    for name, body in requests:
        path = body.get(REFERENCE)
        if isinstance(path, Path):
            if path not in ids:
                ids[path] = client.upload(path, seconds=KEPT_SECONDS).id
            body = body | {REFERENCE: {"file_id": ids[path]}}
        yield name, body


def _path(folder: Path, name: str, body: dict[str, Any]) -> Path:
    return folder / f"{name}.{body.get('output_format') or 'mp4'}"


@dataclass
class Results:
    """What came of a batch so far: videos in the folder, and the errors of the rest."""

    client: Client
    batch_id: str
    bodies: dict[str, dict[str, Any]]
    folder: Path
    as_json: bool
    errors: list[OrreryError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seen: set[str] = set()
        self._looked = time.monotonic()

    def look(self, batch: Batch) -> None:
        """Fetches what is new, now and then while the batch runs and once when it has ended."""
        if batch.status == "failed":
            problems = json.dumps((batch.model_extra or {}).get("errors"))
            self.errors.append(StageFailed(f"batch {batch.id} was refused: {problems}"))
        elif batch.ended or time.monotonic() - self._looked > LOOK_SECONDS:
            with (self.folder / RESULTS).open("a") as file:
                for line in self.client.batch_results(self.batch_id):
                    self._take(line, file)
            self._looked = time.monotonic()

    def _take(self, line: dict[str, Any], file: TextIO) -> None:
        name, error = line["custom_id"], _error_of(line)
        if name in self._seen:
            return
        self._seen.add(name)
        file.write(json.dumps(line) + "\n")
        path = _path(self.folder, name, self.bodies[name])
        if error is None:
            self.client.download(line["response"]["body"]["id"], path)
        else:
            self.errors.append(error)
        if self.as_json:
            typer.echo(json.dumps(line | {"output": None if error else str(path)}))
        elif error is None:
            typer.echo(str(path))


def _follow(client: Client, taken: Batch, results: Results) -> None:
    """Until the batch has ended. An interrupt cancels it; what was fetched stays."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(taken.status, total=None)

        def changed(now: Batch) -> None:
            counts = now.request_counts
            done = counts.get("completed", 0) + counts.get("failed", 0)
            progress.update(task, description=now.status, total=counts.get("total") or None, completed=done)
            results.look(now)

        try:
            client.wait_batch(taken.id, on_change=changed)
        except KeyboardInterrupt:
            client.cancel_batch(taken.id)
            raise


def _error_of(line: dict[str, Any]) -> OrreryError | None:
    """Why a request of a batch has no video."""
    response = line["response"]
    if response is None:
        return StageFailed(f"{line['custom_id']}: {line['error']['message']}")
    return None if response["status_code"] == 200 else from_dict(response["body"]["error"])
