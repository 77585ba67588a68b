"""From what is wanted to files: jobs are created, followed, and their results fetched."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from orrery.client.showing import Board
from orrery.client.specs import Wanted
from orrery.sdk import Client, Event, World
from orrery.worlds.errors import OrreryError, PreviewNotFound

JPEG = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Made:
    """`world` is None for an image, which has no job of its own to look at; `error` is why there is no file."""

    wanted: Wanted
    path: Path
    world: World | None = None
    error: OrreryError | None = None


class Maker:
    """`key` names the request, or one is made up; of several, each has it with a number.

    `previews` is a folder for what the jobs show while they are waited for, if anybody wants it.
    """

    def __init__(self, client: Client, board: Board, key: str | None = None, previews: Path | None = None) -> None:
        self._client = client
        self._board = board
        self._key = key or uuid.uuid4().hex
        self._previews = previews
        self._waiting: dict[str, World] = {}

    def make(self, wanted: Sequence[Wanted]) -> list[Made]:
        """All are submitted before the first is waited for; a failure stops no other, an interrupt cancels all."""
        try:
            with self._board.shown():
                taken = [(one, self._taken(one, number)) for number, one in enumerate(wanted)]
                return [self._made(one, world) for one, world in taken]
        except KeyboardInterrupt:
            self._cancel_all()
            raise

    def _cancel_all(self) -> None:
        """Raises the first refusal once every job was tried: one that somebody deleted must not keep the others running."""
        refusals: list[OrreryError] = []
        for job_id in self._waiting:
            try:
                self._client.cancel(job_id)
            except OrreryError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]

    def _taken(self, one: Wanted, number: int) -> World | OrreryError | None:
        if one.is_image:
            return None
        key = f"{self._key}-{number}" if number else self._key
        try:
            world = self._created(one, key)
        except OrreryError as error:
            return error
        except KeyboardInterrupt:
            # The job may be there, and nobody has told its id: under the same key the answer is the same job.
            with suppress(OrreryError):
                self._created(one, key)
            raise
        self._board.put(world, one.output.name)
        return world

    def _created(self, one: Wanted, key: str) -> World:
        world = self._client.create(reference=one.reference, idempotency_key=key, **one.parameters)
        self._waiting[world.id] = world
        return world

    def _made(self, one: Wanted, taken: World | OrreryError | None) -> Made:
        path = one.output
        if isinstance(taken, OrreryError):
            return Made(one, path, error=taken)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if taken is None:
                self._image(one, path)
            made = Made(one, path, None if taken is None else self._video(taken, path))
        except OrreryError as error:
            made = Made(one, path, taken, error)
        if taken is not None:
            del self._waiting[taken.id]
            self._board.take_off(taken.id)
        return made

    def _video(self, world: World, path: Path) -> World:
        done = self._client.wait(world.id, on_event=lambda event: self._keep_preview(event, path.stem))
        self._client.download(world.id, path)
        return done

    def _keep_preview(self, event: Event, name: str) -> None:
        if self._previews is None or event.preview is None:
            return
        try:
            image = self._client.preview(str(event.job_id))
        except PreviewNotFound:  # the job ended meanwhile
            return
        self._previews.mkdir(parents=True, exist_ok=True)
        (self._previews / f"{name}-{event.data['task']}-{event.preview.step:03}.jpg").write_bytes(image)

    def _image(self, one: Wanted, path: Path) -> None:
        (image,) = self._client.images(**one.parameters)
        path.write_bytes(_as_jpeg(image) if path.suffix.lower() in JPEG else image)


def follow(client: Client, board: Board, world: World, path: Path) -> World:
    """The completed job, whose video is then at `path`. An interrupt cancels it."""
    board.put(world, "")
    try:
        with board.shown():
            done = client.wait(world.id)
    except KeyboardInterrupt:
        client.cancel(world.id)
        raise
    client.download(done.id, path)
    return done


def _as_jpeg(png: bytes) -> bytes:
    """The official scripts name JPEG files, and the gateway makes PNG."""
    from PIL import Image

    buffer = BytesIO()
    with Image.open(BytesIO(png)) as image:
        image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
