"""One engine, one build of the images, one running Orrery for all of these tests."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from compose import bases, wheelhouse
from compose.engine import Engine, running_engine
from compose.project import Project, build, gone_afterwards, project
from compose.results import FILE, Results
from compose.work import patient

SETTINGS = {"ORRERY_CHECKPOINT_STEPS": "3", "ORRERY_LEASE_SECONDS": "5"}
"""A killed denoiser is missed soon, and has left a checkpoint soon."""

RESULTS = Results()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for packages, base images and builds."""
    for item in items:
        item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def results() -> Results:
    return RESULTS


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with running_engine() as started:
        yield started


@pytest.fixture(scope="session")
def images(engine: Engine, results: Results) -> Engine:
    """The engine, with the images in it."""
    began = time.monotonic()
    bases.ensure(engine)
    results.note("base_images_seconds", time.monotonic() - began)
    began = time.monotonic()
    wheelhouse.fetch()
    results.note("fetch_packages_seconds", time.monotonic() - began)
    began = time.monotonic()
    with wheelhouse.served() as pip_conf:
        build(engine, pip_conf)
    results.note("build_seconds", time.monotonic() - began)
    return engine


@pytest.fixture(scope="session")
def orrery(images: Engine, results: Results) -> Iterator[Project]:
    """Everything up; the first video was made meanwhile."""
    with gone_afterwards(project(images, SETTINGS)) as started:
        began = time.monotonic()
        started.up()
        results.note("up_seconds", time.monotonic() - began)
        first_video(started)
        results.note("cold_start_to_first_video_seconds", time.monotonic() - began)
        yield started


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if RESULTS.numbers:
        RESULTS.write()
        terminalreporter.section(f"measured; also in {FILE}")
        for name, number in sorted(RESULTS.numbers.items()):
            terminalreporter.line(f"{name} {number}")


def first_video(started: Project) -> None:
    """As soon as the gateway takes it; every stage that is not there yet is waited for."""
    with patient(started) as client:
        client.wait(client.create("a ball rolls").id)
