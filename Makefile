# `make check` is the one gate: it installs what it needs into .venv and runs every check. CI runs the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: check install format lint types layers docs reference test test-all every-user clean

check: install lint types layers docs test-all every-user

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

format: install  ## rewrites the code
	$(BIN)/ruff format src tests benchmarks docs
	$(BIN)/ruff check --fix src tests benchmarks docs

lint: install
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/ruff check src tests benchmarks docs

types: install
	$(BIN)/mypy

layers: install  ## without its cache, which can be older than a new package
	$(BIN)/lint-imports --no-cache

reference: install  ## writes docs/reference from the code
	$(BIN)/python docs/generate.py

docs: install  ## the generated pages are those of the code
	$(BIN)/python docs/generate.py --check

test: install  ## the fast tests
	$(BIN)/pytest -m 'not slow and not network'

test-all: install
	$(BIN)/pytest

every-user: install  ## the sandbox once more, where root's own Python hides most of its tests
	tests/graders/sandbox/every_user.sh $(BIN)/python

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
