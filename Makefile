# Every target works from a fresh clone: it makes .venv and installs the locked versions first.
PYTHON ?= python3
RUN = .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint e2e bench bench-full fix lock clean install-dev

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 18

demo: ## run everything embedded on loopback and print how to use it
	@$(PYTHON) -m bootstrap demo

test: ## the fast tests, with branch coverage (under three minutes)
	@$(PYTHON) -m bootstrap test

install-dev:
	@$(PYTHON) -m bootstrap install-dev

lint: install-dev ## format, lint, types, one-way imports
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

e2e: install-dev ## tests against real servers and real kubectl (minutes; builds them on the first run)
	$(RUN)/python -m pytest -m e2e -rs --timeout=600 tests/e2e

bench: install-dev ## cost per request beside Envoy on this machine (under five minutes)
	$(RUN)/python -m bench

bench-full: install-dev ## all scenarios beside all peers (about an hour and a quarter)
	$(RUN)/python -m bench --full

fix: install-dev ## let the formatter and the linter repair what they can
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

lock: install-dev ## resolve requirements/*.lock again (needs uv)
	$(RUN)/python -m pip install -q uv
	$(RUN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url -o requirements/run.lock pyproject.toml requirements/build.in
	$(RUN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url -o requirements/dev.lock pyproject.toml requirements/build.in --group dev

clean: ## remove what the targets made
	rm -rf .venv .coverage .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist *.egg-info run bench/results
