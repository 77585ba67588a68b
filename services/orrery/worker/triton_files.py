"""Where the Triton of the `nvidia-pytriton` wheel lies, and what a Python backend needs around it.

Only the wheel's binary is used. Its Python stubs come one per Python version and must lie beside `libtriton_python.so`; they
need `libpython3.X.so`. The stub starts an isolated interpreter, which ignores PYTHONPATH: it finds this environment's packages
because the environment's `bin` folder is first on PATH.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from orrery.worlds.errors import StageUnavailable


@dataclass(frozen=True)
class TritonFiles:
    """`backends` is Triton's backend directory, complete with the stub of this Python; `environment` its variables."""

    binary: Path
    backends: Path
    environment: dict[str, str]


def embedded_triton(folder: Path) -> TritonFiles:
    """Lays the backend directory out under `folder`. Raises `StageUnavailable` saying what is missing."""
    wheel = _wheel()
    python = folder / "backends" / "python"
    python.mkdir(parents=True, exist_ok=True)
    source = wheel / "tritonserver"
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        _link(source / "backends" / "python" / name, python / name)
    stub = python / "triton_python_backend_stub"
    # The stubs of a server that was killed may still be running from the old file, which then cannot be written.
    stub.unlink(missing_ok=True)
    # Copied, not linked: it is run, and wheels do not keep the executable bit.
    shutil.copy(source / "python_backend_stubs" / _version() / stub.name, stub)
    stub.chmod(0o755)
    return TritonFiles(
        binary=_executable(source / "bin" / "tritonserver", folder),
        backends=folder / "backends",
        environment=_environment(wheel),
    )


def lay_out(folder: Path) -> None:
    """`tritonserver`, `backends` and `lib` under `folder`, for good: an image has them where nothing can be written.

    Raises `StageUnavailable` saying what is missing.
    """
    found = embedded_triton(folder)
    if found.binary.parent != folder:
        _link(found.binary, folder / found.binary.name)
    _link(_libraries(_wheel()), folder / "lib")


def _wheel() -> Path:
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        raise StageUnavailable(
            "no Triton here: install the extra `triton` (the nvidia-pytriton wheel), "
            "or set ORRERY_TRITON_BINARY and ORRERY_TRITON_BACKENDS"
        )
    return Path(found.origin).parent


def _environment(wheel: Path) -> dict[str, str]:
    libraries = (_libraries(wheel), _libpython().parent)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)), "PATH": path}


def _libraries(wheel: Path) -> Path:
    return wheel.parent / "nvidia_pytriton.libs"


def _libpython() -> Path:
    name = f"libpython{_version()}.so"
    folders = (sysconfig.get_config_var("LIBDIR"), *map(str, Path("/usr/lib").glob("*-linux-gnu")))
    for folder in folders:
        if any(Path(folder).glob(f"{name}*")):
            return Path(folder) / name
    raise StageUnavailable(
        f"Triton's Python stub needs {name}: use a Python built with --enable-shared, or install libpython{_version()}"
    )


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.symlink_to(source)


def _executable(source: Path, folder: Path) -> Path:
    """The binary itself, or a copy that may be run where the wheel's lacks the executable bit."""
    if os.access(source, os.X_OK):
        return source
    copy = folder / source.name
    copy.unlink(missing_ok=True)
    shutil.copy(source, copy)
    copy.chmod(0o755)
    return copy


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]))
