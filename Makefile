# Each target works as the first command in a fresh clone: it sets up what it needs in .venv and says what it does.
.PHONY: demo test quality style clean
.DEFAULT_GOAL := test

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SOURCES := hf_eraser examples benchmarks tests

.venv/installed: pyproject.toml tests/constraints.txt
	@echo "==> Setting up .venv with $(PYTHON) (several minutes the first time: PyTorch is large)"
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint tests/constraints.txt --editable ".[test,quality]"
	@touch $@

demo: .venv/installed
	@echo "==> Running the demo"
	$(BIN)/python -m examples.demo

test: .venv/installed
	@echo "==> Teaching the small models (about 10 minutes the first time; kept in the user's cache)"
	$(BIN)/python -m examples.small
	@echo "==> Running the tests"
	$(BIN)/python -m pytest

quality: .venv/installed
	@echo "==> Checking style and types"
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

style: .venv/installed
	@echo "==> Formatting"
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:
	rm -rf .venv build dist *.egg-info
