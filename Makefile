# Everything a developer runs. A fresh machine needs Python 3.11 (or newer) and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Quiet TensorFlow, no GPU: tests are the same on every machine.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?=

.PHONY: demo test test-all random-order lint types docs format readme build-file sanitize clean

$(VENV)/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

demo: $(VENV)/ready  ## Prune, train and report on the embedded digits
	$(BIN)/python -m experiments.prune

test: lint types docs  ## What every change has to pass
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -p no:randomly tests

test-all: lint types docs  ## The whole product of methods, model families and applications networks
	TF_PAI_TEST_ALL=1 $(PYTEST) -p no:randomly tests

random-order: $(VENV)/ready  ## The tests in another order each time
	HYPOTHESIS_PROFILE=default $(PYTEST) -n 2 tests

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

docs: $(VENV)/ready  ## Docstring coverage and the examples in docstrings
	$(BIN)/interrogate --quiet tf_pai
	$(PYTEST) -n 2 -p no:randomly --doctest-modules tf_pai

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: $(VENV)/ready  ## Write the README's method tables from the registry
	$(BIN)/python -m tests.structure.readme

build-file: $(VENV)/ready  ## Write BUILD from the tree
	$(BIN)/python -m tests.structure.build_file > BUILD

sanitize: $(VENV)/ready  ## The native kernels' own tests under AddressSanitizer and ThreadSanitizer
	$(BIN)/python -m tf_pai.kernels build --sanitize=address
	$(BIN)/python -m tf_pai.kernels build --sanitize=thread

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
