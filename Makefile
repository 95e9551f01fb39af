# One command each. Every target sets up what it needs first (scripts/setup.sh) and does no set-up work twice.
.PHONY: help setup demo demo-improve test test-all check format docs bench lock
.NOTPARALLEL:

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 16

setup:  ## python environment and system packages
	@scripts/setup.sh test

demo:  ## the main job on a real repository with a real failing test; no account, no key
	@scripts/setup.sh demo
	@scripts/demo.sh

demo-improve:  ## the metric loop on a small network: noise measured, gains kept, a held-out score before and after
	@scripts/setup.sh demo
	@scripts/improve_demo.sh

test:  ## the test suite
	@scripts/setup.sh test
	@$(PYTEST) -m "not slow"

test-all:  ## the test suite with its long soaks
	@scripts/setup.sh test
	@$(PYTEST)

check:  ## format, lint, types, layers, generated docs
	@scripts/setup.sh test
	@scripts/check.sh

format:  ## rewrite the sources in the house format
	@scripts/setup.sh demo
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

docs:  ## write the generated pages of docs/reference anew
	@scripts/setup.sh demo
	@$(BIN)/python scripts/generate_docs.py

bench:  ## every figure that we claim, beside its bar
	@scripts/setup.sh bench
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || failed=1; done; test -z "$$failed"

lock:  ## choose dependency versions anew, within pyproject.toml's bounds
	@scripts/setup.sh demo
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --python-version 3.11 pyproject.toml --extra dev -o requirements.lock
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --python-version 3.11 requirements-bench.in -o requirements-bench.lock
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile -q --upgrade --universal --generate-hashes --python-version 3.11 requirements-servers.in -o requirements-servers.lock
