"""The dependency direction, the absence of cycles, and which processes may not need torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import orrery

ROOT = Path(orrery.__file__).parent
PACKAGES = sorted(path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file())

ALLOWED = {
    "worlds": set(),
    "miniature": set(),
    "evaluation": {"miniature"},
    "jobs": {"worlds"},
    "artifacts": {"worlds"},
    "guardrails": {"worlds"},
    "engines": {"worlds"},
    "stages": {"worlds", "engines", "guardrails"},
    "weights": {"worlds", "stages"},
    "backend": {"worlds", "stages"},
    "v1": set(),
    "sdk": {"worlds"},
    "outbound": set(),
    "telemetry": {"worlds", "artifacts"},
    "gateway": {"worlds", "jobs", "artifacts", "guardrails", "outbound", "telemetry", "v1"},
    "worker": {"worlds", "jobs", "artifacts", "telemetry"},
    "dispatcher": {"worlds", "jobs", "artifacts", "outbound", "telemetry"},
    "embedded": {"worlds", "worker"},
    # The command line puts every process together.
    "client": {
        "worlds",
        "sdk",
        "miniature",
        "evaluation",
        "backend",
        "stages",
        "weights",
        "worker",
        "gateway",
        "dispatcher",
        "embedded",
        "telemetry",
    },
}
ONLY_IN = {
    "triton_python_backend_utils": {"backend"},
    "tritonclient": {"worker"},
    "torch": {"engines", "stages", "weights"},
    "diffusers": {"engines", "stages", "weights"},
    "transformers": {"engines", "stages"},
    "huggingface_hub": {"weights"},
    "redis": {"jobs"},
    "fastapi": {"gateway"},
    # The worker's Triton client tells its errors apart by gRPC's codes.
    "grpc": {"gateway", "v1", "worker"},
    "obstore": {"artifacts"},
    "opentelemetry": {"telemetry"},
}


@cache
def imports_of(package: str) -> frozenset[str]:
    """Every module a package imports anywhere, also inside functions."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert node.level == 0, f"{path}: imports are absolute"
                found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def orrery_packages(package: str) -> set[str]:
    parts = [name.split(".") for name in imports_of(package)]
    return {p[1] for p in parts if p[0] == "orrery" and len(p) > 1} & set(PACKAGES) - {package}


def test_every_package_has_its_place() -> None:
    assert set(PACKAGES) == set(ALLOWED)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_lies_below_them(package: str) -> None:
    assert orrery_packages(package) <= ALLOWED[package]


@pytest.mark.parametrize(("library", "homes"), ONLY_IN.items())
def test_a_library_is_known_only_at_its_seam(library: str, homes: set[str]) -> None:
    users = {p for p in PACKAGES if any(name.split(".")[0] == library for name in imports_of(p))}
    assert users <= homes


def test_packages_import_each_other_without_cycles() -> None:
    order = list(TopologicalSorter({p: orrery_packages(p) for p in PACKAGES}).static_order())
    assert order[0] == "worlds"


def test_modules_import_each_other_without_cycles() -> None:
    names = {module_name(path): path for path in ROOT.rglob("*.py")}
    graph = {name: module_imports(path) & set(names) - {name} for name, path in names.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(names)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_imports(path: Path) -> set[str]:
    """Modules imported when this one is; those inside functions come later and cannot make a cycle."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names | {node.module}
    return found


BLOCK_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "diffusers", "transformers", "huggingface_hub"}:
            raise ModuleNotFoundError(f"no {name} here")
sys.meta_path.insert(0, NoTorch())
"""


def test_judging_needs_nothing_but_numpy() -> None:
    """It runs beside a training, where little else is installed."""
    foreign = "{name.split('.')[0] for name in sys.modules} & {'torch', 'av', 'PIL', 'pydantic', 'httpx'}"
    code = f"import sys, orrery.evaluation.judging, orrery.evaluation.scores\nassert not {foreign}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "orrery.gateway.serve",
        "orrery.dispatcher.serve",
        "orrery.worker.process",
        "orrery.client.cli",
        "orrery.client.stage",
        "orrery.evaluation.scores",
        "orrery.embedded.up",
        "orrery.client.fetching",
        "orrery.weights.inventory",
        "orrery.weights.pulling",
        "orrery.stages.guardrail_text",
        "orrery.stages.publisher",
        "orrery.stages.prompt_upsampler",
        "orrery.stages.text2world_request",
        "orrery.stages.denoiser_unary",
    ],
)
def test_processes_without_weights_start_where_torch_is_not_installed(module: str) -> None:
    code = f"{BLOCK_TORCH}\nimport {module}\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
