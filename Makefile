# Each target sets up .venv itself when it is missing or older than the files that describe it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-long check docs dist format bench peers install clean page

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, got " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	touch $(STAMP)

install: $(STAMP)

demo: $(STAMP)
	rm -rf runs/demo
	$(BIN)/lowerbound fit digits --out runs/demo
	$(BIN)/lowerbound evaluate runs/demo --samples 1000

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

test-long: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --verifytypes lowerbound --ignoreexternal

# The site of the documents, and of the reference built from the docstrings; open build/site/index.html. A broken link fails.
docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q docs build/site
	@echo "the site: build/site/index.html"

# Wheel and source distribution in dist/, the same bytes for the same sources.
dist: $(STAMP)
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build -d dist

# The page that `lowerbound serve` shows, from page/ into the package, where the built files are committed; needs Node 20.19 or newer.
page:
	cd page && npm ci --no-audit --no-fund && npm run check && npm run build

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# BENCH="--long" is the full form; benchmarks/all.py --help says how long both take. `make peers` installs what they compare with.
bench: $(STAMP)
	$(BIN)/python benchmarks/all.py $(BENCH)

peers: $(STAMP)
	$(BIN)/python benchmarks/peers.py

clean:
	rm -rf $(VENV) build dist docs/api .pytest_cache .mypy_cache .ruff_cache .hypothesis
