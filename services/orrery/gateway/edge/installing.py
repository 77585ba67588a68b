"""Puts the edge of a gateway together."""

from __future__ import annotations

from fastapi import FastAPI

from orrery.gateway.edge.door import Door, refused
from orrery.gateway.edge.errors import TooManyRequests
from orrery.gateway.edge.keys import KeyRing
from orrery.gateway.edge.settings import EdgeSettings


def install_edge(app: FastAPI, settings: EdgeSettings) -> KeyRing | None:
    """Puts the door before the routes; gives the keys that it knows, None if nobody is asked for one.

    Raises `ValueError` or `OSError` if the file of keys cannot be read.
    """
    ring = None if settings.api_keys_file is None else KeyRing(settings.api_keys_file)
    app.add_middleware(Door, settings=settings, ring=ring)
    app.add_exception_handler(TooManyRequests, refused)
    return ring
