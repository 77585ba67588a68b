"""Records to and from what lies in Redis: flat lists of strings, with JSON for anything nested."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from orrery.jobs import graph
from orrery.jobs.records import INCIDENTS, Claim, Event, Incidents, Job, JobState, Preview, PreviewNote, Signal
from orrery.worlds.plan import ArtifactRef, Task, TaskOutput

Refs = TypeAdapter(dict[str, ArtifactRef])
Sources = TypeAdapter(dict[str, TaskOutput])


def pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def job(snapshot: str) -> Job:
    """A job from `snapshot` in the prelude."""
    record, result, rows = json.loads(snapshot)
    tasks = [_task_fields(row) for row in rows]
    fields: dict[str, Any] = pairs(record)
    for name in ("request", "notes", "error", "preview"):
        if name in fields:
            fields[name] = json.loads(fields[name])
    if fields["state"] == JobState.COMPLETED:
        outputs = {task["id"]: task.get("outputs", {}) for task in tasks}
        fields["result"] = graph.resolve(Sources.validate_json(result), outputs)
    return Job.model_validate(fields | {"tasks": tasks})  # the tasks with it, in one pass


def _task_fields(row: Sequence[str]) -> dict[str, Any]:
    fields: dict[str, Any] = pairs(row)
    if "outputs" in fields:
        fields["outputs"] = Refs.validate_json(fields["outputs"])
    return fields


def claim(reply: str, *, worker: str, token: str) -> Claim:
    """A claim from `claimed` in `lua/hold.lua`."""
    job_id, spec, attempt, done, checkpoint, step, waited, trace = json.loads(reply)
    task = Task.model_validate_json(spec)
    # Lua writes an empty list as {}.
    outputs = {name: Refs.validate_json(refs) for name, refs in pairs(done or ()).items()}
    return Claim(
        job_id=job_id,
        task=task,
        attempt=attempt,
        token=token,
        worker=worker,
        inputs=graph.resolve(task.inputs, outputs),
        checkpoint=ArtifactRef.model_validate_json(checkpoint) if checkpoint else None,
        checkpoint_step=step,
        waited=float(waited) if waited else None,
        trace=trace or None,
    )


def preview_args(preview: Preview) -> tuple[str, str, str]:
    """Its note, its media type and its image, as text."""
    return preview.note.model_dump_json(), preview.media_type, base64.b64encode(preview.image).decode()


def preview(fields: Mapping[str, str]) -> Preview:
    note = PreviewNote.model_validate_json(fields["note"])
    return Preview(**dict(note), media_type=fields["media_type"], image=base64.b64decode(fields["image"]))


def incidents(flat: Sequence[Sequence[str]], dead: int) -> Incidents:
    """From the answer of `incidents.lua` about `INCIDENTS`."""
    counts = {kind: {pool: int(n) for pool, n in pairs(found).items()} for kind, found in zip(INCIDENTS, flat, strict=True)}
    return Incidents(dead=dead, **counts)


def digests(spec: str, checkpoint: str, outputs: str) -> list[str]:
    """The artifacts that one task of `artifacts.lua` names."""
    given = [source for source in Task.model_validate_json(spec).inputs.values() if isinstance(source, ArtifactRef)]
    kept = [ArtifactRef.model_validate_json(checkpoint)] if checkpoint else []
    made = list(Refs.validate_json(outputs).values()) if outputs else []
    return [ref.digest for ref in (*given, *kept, *made)]


def signal(fields: Mapping[str, str]) -> Signal:
    return Signal.model_validate({"kind": fields["kind"], "job_id": fields["job"], "task_id": fields["task"] or None})


def event(entry: tuple[str, Mapping[str, str]]) -> Event:
    entry_id, fields = entry
    data = json.loads(fields["data"])
    return Event(id=entry_id, job_id=fields["job"], type=fields["type"], at=float(fields["at"]), data=data)
