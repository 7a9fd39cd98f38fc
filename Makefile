# Every command sets up what it needs in .venv first.
PYTHON ?= python3
BIN := .venv/bin
BOOK := $(BIN)/jupyter-book build -W -n --keep-going --all

.PHONY: run quick test lint golden book paper bench weights lock install clean

# The book as it stands, from the stored rows, and one page that trains on this machine.
run: install
	$(call copy_of_the_book,build/run)
	$(BIN)/clusterability run --all --stored --jobs 2 --output build/run/book
	$(BIN)/clusterability run live --output build/run/book
	printf '  - caption: On this machine\n    chapters:\n      - file: book/live\n' >> build/run/_toc.yml
	$(BOOK) build/run
	@echo "The book: $(CURDIR)/build/run/_build/html/index.html"
	@echo "Trained on this machine, just now: $(CURDIR)/build/run/_build/html/book/live.html"
	@echo "Next, for example:"
	@echo "  .venv/bin/clusterability list"
	@echo "  .venv/bin/clusterability run mlp-regularization --preset quick"
	@echo "  .venv/bin/clusterability measure torchvision:resnet18:random --shuffles 10"

# Every figure at a small size on bundled data, from nothing: a check of everything, not of the papers.
quick: install
	$(call copy_of_the_book,build/quick)
	CLUSTERABILITY_STORE=quick $(BIN)/clusterability run --all --preset quick --jobs 2 --output build/quick/book
	$(BOOK) build/quick
	@echo "The quick book: $(CURDIR)/build/quick/_build/html/index.html"

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Rows that the tests keep, and a stored network of the papers' size, computed again.
golden: install
	GOLDEN_AT_SIZE=1 $(BIN)/python -m pytest -n 0 tests/test_golden.py

book: install
	$(BOOK) .
	@echo "The book: $(CURDIR)/_build/html/index.html"

# The one command whose rows go to data/results, and so into the book.
paper: install
	CLUSTERABILITY_STORE=paper $(BIN)/clusterability run --all --output book

bench: install
	$(BIN)/python benchmarks/speed.py

# Weights that were trained for ImageNet, for the page on ImageNet; `make weights NAMES=mobilenet_v2` fetches more.
weights: install
	$(PYTHON) -m venv build/weights
	build/weights/bin/python -m pip install --quiet h5py==3.16.0 numpy
	build/weights/bin/python tools/fetch_weights.py data/local/weights $(NAMES)

# Versions stay where pyproject.toml allows; `make lock UPGRADE=--upgrade` renews all of them.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv==0.13.9
	build/lock/bin/uv pip compile pyproject.toml --quiet --all-extras --universal --python-version 3.11 \
	  --fork-strategy fewest --generate-hashes --no-annotate --constraint requirements-torch.txt \
	  --no-emit-package torch --no-emit-package torchvision --custom-compile-command "make lock" \
	  --output-file requirements.txt $(UPGRADE)

install: .venv/installed

.venv/installed: requirements.txt requirements-torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, not " + sys.version.split()[0] + ": try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -r requirements-torch.txt -e ".[book,test,bench]"
	@touch $@

clean:
	rm -rf .venv build _build data/local .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define copy_of_the_book
rm -rf $(1)
mkdir -p $(1)
cp -R _config.yml _toc.yml book $(1)/
endef
