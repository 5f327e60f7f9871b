# Needs bash, make, git and Python >= 3.11 with venv. Everything else is installed into .venv from requirements.lock.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv is the installer, not a dependency of the product, so it is pinned here and not in the lock.
UV_VERSION := 0.13.8
# Set-up is redone when, and only when, what it depends on has changed.
STAMP := $(VENV)/.ready-$(shell cat requirements.lock pyproject.toml Makefile 2>/dev/null | cksum | cut -d' ' -f1)
# The extra `deep` (PyTorch) has a lock and a stamp of its own; setting up anew takes it away.
DEEP := $(VENV)/.deep-$(shell cat requirements-deep.lock requirements.lock pyproject.toml Makefile 2>/dev/null | cksum | cut -d' ' -f1)

DATA ?=
REPS ?= 1000
LINES ?= 8
WORKERS ?= 2
SCENARIO ?=
MANIFEST ?= $(if $(DATA),$(if $(wildcard $(DATA)/source.toml),$(DATA)/source.toml,tests/data/shared.toml))

export UV_PYTHON_DOWNLOADS := never
# A bytecode cache makes first imports three to five times faster; some images switch it off.
unexport PYTHONDONTWRITEBYTECODE
# On shared cores several OpenMP threads per process make a fit slower, not faster: parallelism is by process.
export OMP_NUM_THREADS := 1

.PHONY: help setup deep demo test lint bench qlib-env up down status lock format calibrate calibrate-drift

help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(STAMP) ## Create .venv with the locked packages (cached)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up .venv (about a minute the first time) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "  installing locked packages ..."
	@$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.ready-* $(VENV)/.deep-*; touch $@
	@echo "  done."

deep: $(DEEP) ## Add PyTorch (CPU) to .venv, for the families lstm and transformer (cached)

# By pip, which knows where this machine keeps wheels: for Linux it is PyTorch's own CPU build that is wanted, a fifth of
# the size of the one with CUDA (PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS say where; pytorch.org names its index).
$(DEEP): $(STAMP) requirements-deep.lock
	@echo "Adding PyTorch to .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-deep.lock 2>$(VENV)/deep.log || { cat $(VENV)/deep.log; \
		echo "PyTorch's CPU build was not found; tell pip where it is with PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS"; exit 1; }
	@rm -f $(VENV)/.deep-*; touch $@
	@echo "  done."

demo: setup ## The whole loop once, in real Airflow and MLflow (DATA=dir for real files, FAULTS=overcome)
	@$(BIN)/tidemark demo $(if $(DATA),--data $(DATA) --manifest $(MANIFEST)) $(if $(FAULTS),--faults $(FAULTS))

up: setup ## Start the embedded stack
	@$(BIN)/tidemark up

status: setup ## Show the embedded stack
	@$(BIN)/tidemark status

down: ## Stop the embedded stack; leaves no process behind
	@if [ -x $(BIN)/tidemark ]; then $(BIN)/tidemark down; fi

test: setup ## All tests with coverage, including the real stack; those of lstm and transformer where PyTorch can be had
	@$(MAKE) --no-print-directory deep || echo "Going on without: tests that need PyTorch are skipped."
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --cov --cov-report=term:skip-covered

lint: setup ## ruff, mypy strict on pipelines/, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: setup ## Benches: equality first, then ratios; writes .bench/latest.json
	@$(BIN)/python -m tests.bench

qlib-env: setup ## Microsoft qlib in .bench/qlib, beside which benches measure
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .bench/qlib
	@$(BIN)/uv pip install --quiet --no-deps --compile-bytecode --python .bench/qlib/bin/python \
		-r tests/bench/qlib/requirements.txt

calibrate: setup ## Error rates of the gate (REPS=1000; SCENARIO='null_* real_*' for some)
	@$(BIN)/python -m infra.calibrate gate --reps $(REPS) $(foreach name,$(SCENARIO),--scenario '$(name)')

calibrate-drift: setup ## Error rates of drift alarms, into their page (LINES=8; WORKERS=2; SCENARIO='null_*' for some; DATA=dir for real bars)
	@$(if $(DATA),TIDEMARK_DATA_DIR='$(DATA)' TIDEMARK_MANIFEST='$(MANIFEST)') $(BIN)/tidemark calibrate drift \
		--reps $(LINES) --workers $(WORKERS) --page docs/drift-calibration.md \
		$(foreach name,$(or $(SCENARIO),$(if $(DATA),*)),--scenario '$(name)')

format: setup ## Sort imports and mend what ruff can mend
	@$(BIN)/ruff check --fix .

COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
	--python-version 3.11 pyproject.toml

lock: setup ## Resolve the locks anew (hashes, no addresses)
	@$(COMPILE) --extra dev -o requirements.lock
	@$(COMPILE) --extra deep -c requirements.lock | $(BIN)/python -m infra.deep_lock > $(VENV)/deep.lock
	@mv $(VENV)/deep.lock requirements-deep.lock
