# Every command sets up what it needs in .venv first.
PYTHON ?= python3
BIN := .venv/bin
BOOK := $(BIN)/jupyter-book build -W -n --keep-going --all

.PHONY: run test book paper bench install clean

run: install
	rm -rf build/quick
	mkdir -p build/quick
	cp -R _config.yml _toc.yml book build/quick/
	$(BIN)/clusterability run --all --preset quick --output build/quick/book
	$(BOOK) build/quick
	@echo "The quick book: $(CURDIR)/build/quick/_build/html/index.html"

test: install
	$(BIN)/python -m pytest

book: install
	$(BOOK) .
	@echo "The book: $(CURDIR)/_build/html/index.html"

paper: install
	$(BIN)/clusterability run --all --output book

bench: install
	$(BIN)/python benchmarks/speed.py

install: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, not " + sys.version.split()[0] + ": try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

clean:
	rm -rf .venv build _build data/local .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
