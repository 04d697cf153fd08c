# `make check` is the one gate: it installs what it needs into .venv and runs every check. CI runs the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One process more than cores, since some wait, each with one thread; the tests of a file stay in one process, with their
# fixtures.
PYTEST := tests/in_memory.sh $(BIN)/pytest -n auto --maxprocesses 5 --dist loadfile --no-loadscope-reorder
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
# The tests start a hundred processes, and none should compile again what another has compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: check install format lint types layers docs reference test test-all every-user clean

check: install
	$(MAKE) --jobs 2 --output-sync lint types layers docs
	$(MAKE) test-all every-user

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
# Apart: peft imports it wherever it is found, which takes 1.5 s in each of the processes that the tests start.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --target $(VENV)/apart bitsandbytes
	touch $@

format: install  ## rewrites the code
	$(BIN)/ruff format src tests benchmarks docs tools examples
	$(BIN)/ruff check --fix src tests benchmarks docs tools examples

lint: install
	$(BIN)/ruff format --check src tests benchmarks docs tools examples
	$(BIN)/ruff check src tests benchmarks docs tools examples

types: install
	$(BIN)/mypy

layers: install  ## without its cache, which can be older than a new package
	$(BIN)/lint-imports --no-cache

reference: install  ## writes docs/reference from the code
	$(BIN)/python docs/generate.py

docs: install  ## the generated pages are those of the code
	$(BIN)/python docs/generate.py --check

test: install  ## the fast tests
	$(PYTEST) -m 'not slow and not network' --hypothesis-profile quick

test-all: install
	$(PYTEST)

every-user: install  ## the tests of the sandbox that root's own Python skips
	tests/graders/sandbox/every_user.sh $(BIN)/python

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
