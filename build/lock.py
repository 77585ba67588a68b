"""Writes the locks of the images: every package that goes in, with its version and the digests of its files.

    python build/lock.py [NAME ...]

uv resolves what `services/locks/images.toml` names within constraints.txt. Where packages come from is the machine's business:
pip's own variables say it, and no lock names an index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "services" / "locks"
AS_UV_SAYS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}


def command(name: str, image: Mapping[str, Any]) -> list[str]:
    """uv's, run in the project's root; tools are read from standard input."""
    sources = ["-"] if "tools" in image else ["pyproject.toml", *(f"--extra={extra}" for extra in image["extras"])]
    return [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", *sources),
        "--constraint=constraints.txt",
        "--generate-hashes",
        "--only-binary=:all:",
        "--no-annotate",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--custom-compile-command=make locks",
        f"--python-version={image['python']}",
        f"--python-platform={image['platform']}",
        f"--output-file={FOLDER / name}.txt",
    ]


def write(name: str, image: Mapping[str, Any]) -> None:
    """Versions that a lock has already are kept where they still fit. Raises `CalledProcessError` if nothing fits."""
    environment = dict(os.environ) | {theirs: os.environ[ours] for ours, theirs in AS_UV_SAYS.items() if ours in os.environ}
    tools = "\n".join(image.get("tools", ()))
    subprocess.run(command(name, image), cwd=ROOT, env=environment, input=tools, text=True, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the locks of the images.")
    images = tomllib.loads((FOLDER / "images.toml").read_text())
    parser.add_argument("names", nargs="*", default=list(images), help="only these; all if none is named")
    for name in parser.parse_args().names:
        write(name, images[name])


if __name__ == "__main__":
    main()
