# The front door: `make train` and `make test` need Python 3.11+, make and the package registries, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help train test check soak

help:  ## list these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt requirements-trackers.txt requirements-onnx.txt requirements-ray.txt requirements-postgres.txt
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@

train: $(VENV)/.installed  ## set up the environment and train on the embedded digits: make train ARGS="seed=1"
	$(BIN)/python train.py $(ARGS)

# One thread a process: processes on two cores would otherwise spin against each other. Four, since many tests wait for others.
test: $(VENV)/.installed-dev  ## set up the environment and run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

check: test  ## the tests, ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(VENV)/.installed-dev  ## the long fault grids that make test leaves out
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak $(ARGS)
