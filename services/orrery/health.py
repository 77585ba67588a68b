"""`python -m orrery.health URL...`: whether every address answers. What the images' health checks run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from urllib.request import urlopen

SECONDS = 3.0
"""For each answer; a health check has five in all."""


def main(urls: Sequence[str]) -> None:
    """Raises `OSError` naming what is wrong with the first that does not answer with a 2xx."""
    for url in urls:
        with urlopen(url, timeout=SECONDS):  # noqa: S310 - the addresses are the image's own
            pass


if __name__ == "__main__":
    main(sys.argv[1:])
