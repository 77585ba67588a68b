"""Writes the Python stubs of the gRPC API below a folder: `python build/stubs.py --out services`."""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).parent.parent / "proto"
KINDS = ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")


def write_stubs(out: Path) -> None:
    """Raises `RuntimeError` if the compiler refuses a file; it has said why."""
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    well_known = resources.files("grpc_tools") / "_proto"
    command = ["protoc", f"-I{PROTO}", f"-I{well_known}", *(f"--{kind}={out}" for kind in KINDS), *files]
    if protoc.main(command) != 0:
        raise RuntimeError(f"protoc refused {', '.join(files)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    write_stubs(parser.parse_args().out)
