# Each target works as the first command in a fresh clone: it sets up what it needs in .venv and says what it does.
.PHONY: demo test quality style docs teach results test-lowest test-newest clean
.DEFAULT_GOAL := test

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SOURCES := hf_eraser examples benchmarks tests
# Tests of one file share what they fit. The models are so small that a thread each is faster than several.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

.venv/installed: pyproject.toml tests/constraints.txt
	@echo "==> Setting up .venv with $(PYTHON) (several minutes the first time: PyTorch is large)"
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint tests/constraints.txt --editable ".[test,quality,docs]"
	@touch $@

demo: .venv/installed
	@echo "==> Running the demo (a minute or two)"
	$(BIN)/python -m examples.demo

test: .venv/installed
	@echo "==> Running the tests (about 10 minutes on two cores)"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

quality: .venv/installed
	@echo "==> Checking style, types and the direction of imports"
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

style: .venv/installed
	@echo "==> Formatting"
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: .venv/installed
	@echo "==> Building the documentation: docs/_build/html/index.html"
	$(BIN)/sphinx-build -W --keep-going --quiet -b html docs docs/_build/html

teach: .venv/installed
	@echo "==> Teaching the small models anew, and measuring what they know (about 10 minutes)"
	$(BIN)/python -m examples.small
	$(BIN)/python -m pytest -m teach

clean:
	rm -rf .venv .venv-lowest build dist *.egg-info docs/_build
