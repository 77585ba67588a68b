"""Every hostile input, in the order of the page."""

from __future__ import annotations

from gateway.hostile import callers, media, names, urls, wire

TABLE = (*urls.CASES, *media.CASES, *wire.CASES, *names.CASES, *callers.CASES)
