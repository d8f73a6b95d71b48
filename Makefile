# Each target does all its own set-up: a virtual environment in .venv with the package and its tools.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint wheel docs bench clean

demo: $(VENV)/installed
	$(BIN)/alexnet train digits

# The quick tests, minutes on two cores; ARGS="--cov" also measures their coverage.
test: $(VENV)/installed
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile $(ARGS)

# All of them.
test-all: test
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

wheel: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m build --outdir dist

# The site in English and Traditional Chinese: build/docs/site/index.html.
docs: $(VENV)/installed
	$(BIN)/python docs/site/build.py

# Beside other software: make bench DATA=FOLDER; ARGS="train_256 --reps 5" and the like narrow it down.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/bench.py $(ARGS) $(if $(DATA),--data "$(DATA)")

clean:
	rm -rf $(VENV) .bench build dist runs .pytest_cache .mypy_cache .ruff_cache .coverage

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing alexnet and what it needs into $(VENV) (PyTorch is large: minutes on the first run)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
