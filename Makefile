# One command on a fresh machine: `make demo`, `make test` or `make docs`. Each installs what it needs.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
.DEFAULT_GOAL := help

.PHONY: help demo test lint format docs release bench soak compat material constraints poppler packages clean

help:  ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.base poppler  ## Build, audit and then spoil a small public-domain corpus
	@DERLEM=$(BIN)/derlem sh configs/demo/demo.sh

# Many tests wait for servers, signals and deadlines: a worker more than there are cores keeps these busy.
test: $(VENV)/.dev packages  ## Run the tests, in parallel
	@$(BIN)/python -m pytest -q -n $$(($$(nproc) + 1)) --dist worksteal

lint: $(VENV)/.dev  ## Check style, imports between rooms, types of the wheel, tests and docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@rm -rf build/lint && $(BIN)/python -m build --quiet --wheel --outdir build/lint . 
	@$(BIN)/python -m zipfile -e build/lint/*.whl build/lint/site
	@cd build/lint/site && ../../../$(BIN)/mypy --config-file ../../../pyproject.toml -p derlem
	@MYPYPATH=build/lint/site:docs $(BIN)/mypy tests benchmarks docs .ci/check_release.py
	@cd build/lint/site && PYTHONPATH=. ../../../$(BIN)/lint-imports --config ../../../pyproject.toml --no-cache

format: $(VENV)/.dev  ## Format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: $(VENV)/.docs  ## Write the generated references and build the manual into build/docs, links checked
	@$(BIN)/python docs/generate.py
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

release: $(VENV)/.dev poppler  ## Build sdist and wheel, check them, and run the demo with the wheel alone
	@PIP_CONSTRAINT=constraints.txt BUILD=build/release PYTHON=$(BIN)/python sh .ci/release.sh

bench: $(VENV)/.dev poppler  ## Measure, each figure beside its baseline in the same run
	@$(BIN)/python -m benchmarks

soak: $(VENV)/.dev packages  ## All tests in their long form: many kills, faults, variants and examples
	@DERLEM_SOAK=1 $(BIN)/python -m pytest -q -n auto

compat: $(VENV)/.dev  ## Run what touches the catalog on the newest DuckDB, beside the pinned one
	@$(PIP) install --quiet --upgrade --no-deps --target build/duckdb2 'duckdb>=2,<3'
	@PYTHONPATH=build/duckdb2 $(BIN)/python -c 'import duckdb; print("DuckDB", duckdb.__version__)'
	@PYTHONPATH=build/duckdb2 $(BIN)/python -m pytest -q -n auto tests/catalog tests/pipeline tests/sampling tests/corpus tests/commands

material: $(VENV)/.dev  ## Fetch test material under other licences into .material/
	@$(BIN)/python tests/fetch_material.py

constraints: $(VENV)/.dev  ## Move to the newest libraries (DuckDB: the maintained 1.5) and pin them
	@$(PIP) install -q --upgrade -e '.[dev]' 'duckdb<2'
	@$(PIP) freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==' > constraints.txt

poppler:
	@sh configs/system_packages.sh

packages:
	@sh configs/system_packages.sh tests

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "derlem needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing derlem into $(VENV)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing derlem and its development tools into $(VENV)"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.base

$(VENV)/.docs: $(VENV)/.base
	@echo "installing the documentation tools into $(VENV)"
	@$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@

clean:  ## Remove what the other targets made
	rm -rf $(VENV) build dist *.egg-info work work-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
