"""Jobs as JSON, for clients that ask again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from orrery.gateway.forecast import Forecast
from orrery.jobs.records import Job

KEPT = 2_000
"""Records whose JSON is kept, the latest used."""


class Rendering:
    """What `view` makes of a record is kept as long as the store gives the very same record; a forecast is added to it."""

    def __init__(self, view: Callable[[Job], dict[str, Any]]) -> None:
        self._view = view
        self._kept: OrderedDict[str, tuple[Job, bytes]] = OrderedDict()

    def job(self, job: Job, forecast: Forecast) -> bytes:
        return self._record(job)[:-1] + b"," + _json(vars(forecast))[1:]

    def _record(self, job: Job) -> bytes:
        kept = self._kept.get(job.id)
        if kept is None or kept[0] is not job:
            kept = job, _json(self._view(job))
            self._kept[job.id] = kept
        self._kept.move_to_end(job.id)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return kept[1]


def _json(values: dict[str, Any]) -> bytes:
    return to_json(values, inf_nan_mode="null")
