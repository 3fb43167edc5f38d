# Everything a person or a CI job does here, by name. `make help` lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := .venv-peers

.DEFAULT_GOAL := help
.PHONY: help setup hooks demo test browser check format lab notebooks pictures bench \
        bench-cdc bench-peers bench-state nexmark torture-cdc wheel lock up down clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A virtual environment from the lock, made again only when the lock or the project
# file is newer. Its packages are checked against the lock's hashes.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "streamlab needs Python 3.11 or newer with venv; '$(PYTHON)' is not that."; \
	  echo "Hint: name another one, such as: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what requirements.lock names into $(VENV) (the first time takes some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(READY) ## make .venv; the other targets do this by themselves

hooks: $(READY) ## run the quick checks before each commit from now on
	@$(BIN)/pre-commit install

demo: $(READY) ## run the main job on real data, kill a worker in the middle, prove the result
	@$(BIN)/python -m demo

test: $(READY) browser ## run all tests: unit tests, then real servers, notebooks and a browser
	@$(BIN)/python -m pytest tests/unit
	@$(BIN)/python -m pytest tests/differential
	@$(BIN)/python -m pytest tests/integration tests/faults tests/notebook

# The widget tests look for the same three, in this order.
browser: $(READY) ## find a Chromium for the widget tests, or fetch one
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
	  $(BIN)/playwright install chromium || \
	  { [ "$$(id -u)" = 0 ] && apt-get update && apt-get install --yes chromium; } || \
	  echo "no Chromium was found or could be fetched: the widget tests will say so"

check: $(READY) ## check style, types, layers, spelling and the project file; changes nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@git ls-files -z | xargs -0 $(BIN)/codespell
	@$(BIN)/validate-pyproject pyproject.toml

format: $(READY) ## format the code and apply ruff's safe fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# On copies, which are yours: playing changes nothing that git tracks. JupyterLab wants
# to be told that root is meant; it listens on loopback, with a token.
LAB := .streamlab/lab
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
lab: $(READY) up ## start the servers, load the flights, open JupyterLab on the tutorial
	@$(BIN)/python -m demo.load
	@mkdir -p $(LAB)
	@for source in notebooks/*.py; do \
	  copy=$(LAB)/$$(basename $$source .py).ipynb; \
	  test -e $$copy || $(BIN)/jupytext --quiet --to ipynb --output $$copy \
	    --update-metadata '{"jupytext": null}' $$source; \
	done
	@$(BIN)/jupyter lab $(AS_ROOT) --notebook-dir=$(LAB) $(LAB)/01_delayed_flights.ipynb

notebooks: $(READY) ## run every tutorial on servers of its own and keep its outputs beside it
	@$(BIN)/python -m demo.notebook notebooks/*.py

pictures: $(READY) ## draw the pictures of the tutorial pages again
	@$(BIN)/python docs/pictures/make.py

bench: $(READY) ## measure throughput, memory and latency beside the bare client
	@$(BIN)/python -m benchmarks

bench-state: $(READY) ## measure windows, folds, joins, and epochs on much state
	@$(BIN)/python -m benchmarks.stateful

nexmark: $(READY) ## run the Nexmark queries through the worker, beside SQL on the same events
	@$(BIN)/python -m benchmarks.nexmark

bench-cdc: $(READY) ## measure change data capture: snapshot, stream and latency
	@$(BIN)/python -m benchmarks.changes

torture-cdc: $(READY) ## kill and cut change data capture a hundred times, and judge it
	@$(BIN)/python -m tests.faults.torture_cdc

bench-peers: $(READY) $(PEERS)/.ready ## measure Quix Streams on the same work, in turn with ours
	@$(BIN)/python -m benchmarks.peers $(PEERS)/bin/python

$(PEERS)/.ready: benchmarks/peers.lock
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/peers.lock
	@touch $@

wheel: $(READY) ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

# uv resolves for every platform at once; it is needed here only.
LOCK := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
lock: ## resolve the dependencies again and write both lock files
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv; }
	@$(LOCK) --all-extras --group dev --output-file requirements.lock pyproject.toml
	@$(LOCK) --output-file benchmarks/peers.lock benchmarks/peers.in

up: $(READY) ## start Kafka and PostgreSQL on this machine
	@$(BIN)/streamlab up

down: $(READY) ## stop them
	@$(BIN)/streamlab down

clean: ## stop the servers and remove all that was made here: data, environments, caches
	@if [ -x $(BIN)/streamlab ]; then $(BIN)/streamlab down || true; fi
	@rm -rf .streamlab dist build .venv .venv-peers .venv-lock .mypy_cache .ruff_cache \
	  .pytest_cache .hypothesis .import_linter_cache test-results
