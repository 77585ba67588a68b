.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODELS := .orrery/models
DURATION ?= 600
# Whole Orrerys and containers start many processes each: one such run at a time. What it leaves running holds no lock.
ALONE := flock --close .orrery/alone.lock
WHOLE := tests/chaos tests/e2e tests/examples tests/observability
PYTHON_FILES := services tests build examples helm/orrery/files

.PHONY: miniature help demo test test-whole test-parts test-compose test-helm check format bench chaos up config locks presets stubs docs models clean

help:  ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $@

models: $(VENV)/.ready  ## Build the tiny random components into .orrery/models
	$(BIN)/python build/tiny.py --out $(MODELS)

miniature: $(VENV)/.ready  ## Train the miniatures (resumed from .orrery/miniature; an hour and a half on an H200, far longer on a processor)
	PYTHONPATH=build $(BIN)/python -m miniature --work .orrery/miniature/work --out .orrery/miniature/components
	for program in crowding alone one_model; do PYTHONPATH=build $(BIN)/python -m miniature.$$program \
		--components .orrery/miniature/components --work .orrery/miniature/$$program --out .orrery/miniature/components || exit; done

demo: $(VENV)/.ready  ## Set up, then make one video from a prompt through Triton and the job store, into demo-output/
	$(BIN)/orrery demo

# Half of the time of the tests passes with waiting for processes that start, and another half with computing in one process.
test: $(VENV)/.ready  ## Set up, then run every test but those of test-compose
	@$(MAKE) --no-print-directory --jobs=2 --keep-going test-whole test-parts

test-whole: $(VENV)/.ready  ## Run the tests of whole Orrerys, then print how it went
	@mkdir -p .orrery
	@$(ALONE) $(BIN)/python -m pytest $(WHOLE) >.orrery/test-whole.log 2>&1; status=$$?; cat .orrery/test-whole.log; exit $$status

test-parts: $(VENV)/.ready  ## Run the other tests
	$(BIN)/python -m pytest --ignore=tests/compose $(WHOLE:%=--ignore=%)

test-compose: $(VENV)/.ready  ## Build the images, then test docker compose up (starts a Docker engine where none runs: root on Debian)
	@mkdir -p .orrery
	$(ALONE) $(BIN)/python -m pytest tests/compose

test-helm: $(VENV)/.ready  ## Render the chart with the real Helm engine, and hold every object to what takes it
	$(BIN)/python -m pytest tests/helm

check: $(VENV)/.ready  ## Formatting, lint and types
	$(BIN)/ruff format --check $(PYTHON_FILES)
	$(BIN)/ruff check $(PYTHON_FILES)
	$(BIN)/mypy

format: $(VENV)/.ready  ## Format, and fix what lint can fix
	$(BIN)/ruff format $(PYTHON_FILES)
	$(BIN)/ruff check --fix $(PYTHON_FILES)

bench: models  ## Measure; writes bench-results/*.json, the last line printed is one JSON object
	PYTHONPATH=tests $(BIN)/python -m benchmarks --out bench-results --models-dir $(MODELS)

chaos: models  ## Kill, freeze and cut off everything for DURATION seconds (SEED repeats a schedule); no accepted job may be lost
	PYTHONPATH=tests $(BIN)/python -m chaos --models-dir $(MODELS) --duration $(DURATION) $(if $(SEED),--seed $(SEED))

up: $(VENV)/.ready  ## Run everything on this machine until Ctrl-C
	$(BIN)/orrery up

config: $(VENV)/.ready  ## Write model_repository/ from the stage contracts
	$(BIN)/python -m orrery.backend.repository model_repository

locks: $(VENV)/.ready  ## Write services/locks/ from pyproject.toml and constraints.txt (needs the network)
	$(BIN)/python build/lock.py

presets: $(VENV)/.ready  ## Write services/presets/*.env from cards.toml
	$(BIN)/python build/presets.py services/presets

stubs: $(VENV)/.ready  ## Write services/orrery/v1/ from proto/, and the SDK's client from its asynchronous one
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python build/stubs.py --out services
	$(BIN)/python build/sync_client.py services/orrery/sdk

docs: $(VENV)/.ready  ## Write the tables of docs/api.md and docs/operations.md and the dashboard from the code, docs/hostile-inputs.md from the tests
	$(BIN)/python build/reference.py docs/api.md
	$(BIN)/python build/operations.py docs/operations.md
	$(BIN)/python build/dashboard.py helm/orrery/files/dashboard.json
	$(BIN)/python build/chart.py helm/orrery docs/kubernetes.md
	PYTHONPATH=tests $(BIN)/python -m gateway.hostile.page > docs/hostile-inputs.md

clean:  ## Remove what the other verbs made
	rm -rf $(VENV) .orrery demo-output bench-results
