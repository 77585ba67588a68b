"""Makes components of the folders of a model cache, and waits for them.

    python models.py describe FOLDER NAME=KIND...   writes the manifest of each that has none, reads every file of the others
    python models.py await FOLDER NAME...           until each has a manifest

Ends with 1, and a line that says why, if a component has no folder or is not what its manifest says.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from orrery.worlds.components import MANIFEST, ComponentKind, verify, write_manifest
from orrery.worlds.errors import ComponentUnusable

PAUSE = 2.0


def describe(folder: Path, *wanted: str) -> None:
    for item in wanted:
        name, _, kind = item.partition("=")
        component = folder / name
        if not component.is_dir():
            raise SystemExit(f"{component} is not there: nothing has fetched the component")
        if (component / MANIFEST).exists():
            print("verified", verify(component).fingerprint, name)
        else:
            print("described", write_manifest(component, ComponentKind(kind)).fingerprint, name)


def wait_for(folder: Path, *names: str) -> None:
    while missing := [name for name in names if not (folder / name / MANIFEST).exists()]:
        print("waiting for", *missing, flush=True)
        time.sleep(PAUSE)


VERBS = {"describe": describe, "await": wait_for}


if __name__ == "__main__":
    try:
        VERBS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    except ComponentUnusable as error:
        raise SystemExit(error.message) from None
