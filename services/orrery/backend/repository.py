"""Triton's model repository, written from the contracts: `python -m orrery.backend.repository FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from orrery.backend.config import config_pbtxt
from orrery.backend.ensembles import TEXT2WORLD, text2world_pbtxt
from orrery.worlds.contracts import CONTRACTS

ALL_MODELS = (*CONTRACTS, TEXT2WORLD)


def repository_files() -> dict[str, str]:
    """Text of every file of the repository by its path. An ensemble has no code, but Triton wants its version's folder."""
    files = {f"{TEXT2WORLD}/config.pbtxt": text2world_pbtxt(), f"{TEXT2WORLD}/1/.gitkeep": ""}
    for name, contract in CONTRACTS.items():
        files[f"{name}/config.pbtxt"] = config_pbtxt(contract)
        files[f"{name}/1/model.py"] = model_py(name)
    return files


def model_py(stage: str) -> str:
    """The whole framework file of a stage."""
    return f'from orrery.backend.adapter import stage_model\n\nTritonPythonModel = stage_model("{stage}")\n'


def write_repository(folder: Path, models: Iterable[str] = ALL_MODELS) -> None:
    """Writes the given models below `folder`."""
    wanted = set(models)
    for path, text in repository_files().items():
        if path.split("/", 1)[0] in wanted:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)


if __name__ == "__main__":
    write_repository(Path(sys.argv[1]))
