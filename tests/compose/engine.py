"""A real Docker engine with Compose and buildx: the machine's, or one of Debian's packages, started here."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".orrery" / "compose"
"""What is fetched and made for these tests, kept from run to run."""

PACKAGES = {"dockerd": "docker.io", "iptables": "iptables", "debootstrap": "debootstrap"}
PLUGINS = ("docker-compose", "docker-buildx")
PLUGINS_OF = "trixie"
"""The first Debian that has Compose 2 and buildx. Both are single programs that need nothing but an older libc."""


@dataclass(frozen=True)
class Engine:
    """`environment` is what every command of the engine's client runs with."""

    environment: Mapping[str, str]

    def docker(self, *arguments: str, seconds: float = 60.0) -> str:
        """What the command printed, errors too. Raises `AssertionError` with it if the command failed."""
        done = subprocess.run(
            ["docker", *arguments],
            env=dict(self.environment),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout[-4000:]}"
        return done.stdout.strip()


@contextlib.contextmanager
def running_engine() -> Iterator[Engine]:
    """An engine that runs is used and left alone; one that had to be started is stopped again."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if not answers("docker", "version"):
            install(PACKAGES)
            stack.enter_context(daemon())
        yield Engine(os.environ | plugins())


def answers(*command: str, environment: Mapping[str, str] | None = None) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def install(packages: Mapping[str, str]) -> None:
    """Debian's packages of the programs that are not there. Root only."""
    missing = [package for program, package in packages.items() if shutil.which(program) is None]
    if missing:
        apt("update")
        apt("install", "--yes", "--no-install-recommends", *missing)


def apt(*arguments: str, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "--quiet", *arguments]
    done = subprocess.run(
        command, env=os.environ | quiet | dict(environment or {}), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def daemon() -> Iterator[None]:
    with (CACHE / "dockerd.log").open("ab") as log:
        process = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not answers("docker", "version"):
            assert process.poll() is None, (CACHE / "dockerd.log").read_text()[-4000:]
            assert time.monotonic() < deadline, "the engine does not answer"
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(60)


def plugins() -> dict[str, str]:
    """The variables with which the client finds Compose and buildx; none if it finds them by itself."""
    if answers("docker", "compose", "version") and answers("docker", "buildx", "version"):
        return {}
    folder = CACHE / "docker" / "cli-plugins"
    if not all((folder / name).exists() for name in PLUGINS):
        fetch_plugins(folder)
    return {"DOCKER_CONFIG": str(folder.parent)}


def fetch_plugins(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    packages = fetch_packages(PLUGINS, PLUGINS_OF)
    for name in PLUGINS:
        shutil.copy(packages / "usr" / "libexec" / "docker" / "cli-plugins" / name, folder / name)


def fetch_packages(names: tuple[str, ...], suite: str) -> Path:
    """Packages of one of Debian's suites, unpacked into one folder and installed nowhere."""
    place = CACHE / suite
    shutil.rmtree(place, ignore_errors=True)
    for part in ("lists/partial", "cache/archives/partial", "debs", "unpacked"):
        (place / part).mkdir(parents=True)
    environment = {"APT_CONFIG": str(_apt_config(place, suite))}
    apt("update", environment=environment)
    apt("download", *names, environment=environment, folder=place / "debs")
    for package in (place / "debs").glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, place / "unpacked"], check=True)
    return place / "unpacked"


def _apt_config(place: Path, suite: str) -> Path:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (place / "sources.list").write_text(f"deb [signed-by={keyring}] {debian()} {suite} main\n")
    config = place / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{place}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State::lists "{place}/lists";\nDir::Cache "{place}/cache";\nAPT::Sandbox::User "root";\n'
    )
    return config


def debian() -> str:
    """Where this machine has Debian's packages from."""
    form = ["--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    done = subprocess.run(["apt-get", "indextargets", *form], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    mirrors = [uri for uri, release, component in rows if "-" not in release and component == "main"]
    assert mirrors, "this machine has no Debian to take packages from"
    return mirrors[0]
