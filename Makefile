# `make` alone lists the targets.  Every target sets up what it needs by itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Extra words for the program a target runs, for example: make test ARGS="-k mape -x"
ARGS ?=

.PHONY: help setup setup-bench setup-guest setup-engine test-topology test lint bench images lock lock-images clean distclean

help: ## list the targets (this text)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile
	@echo '  ARGS="..." is handed on to the program, e.g.: make test ARGS="-k mape -x"'

test-topology: setup-guest setup-engine ## build every topology, send traffic through it, judge it, leave a report
	@$(BIN)/testbed test $(ARGS)

test: setup-guest setup-engine ## the tests of the testbed itself (builds the guest kernel the first time)
	@$(BIN)/testbed kernel build || echo 'no guest kernel: the tests that need it are skipped'
	@$(BIN)/python -m pytest tests --junitxml=runs/tests/junit.xml $(ARGS)

lint: setup ## ruff (rules and format), mypy in strict mode, shellcheck where it is installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict
	@if command -v shellcheck >/dev/null; then shellcheck -x setup/*.sh .ci/run .ci/machine-state images/install-packages images/*/start images/*/health; \
	else echo 'shellcheck is not installed: the shell scripts were not checked'; fi

bench: setup-bench ## measure against peers; the table of the README comes from here
	@$(BIN)/python -m bench $(ARGS)

images: setup ## the container images (a Docker engine is started only with TESTBED_DOCKER=start)
	@setup/docker-engine.sh ensure
	@$(BIN)/testbed images build $(ARGS)

setup: ## Debian packages and .venv (the other targets do this by themselves)
	@setup/setup.sh

setup-bench:
	@setup/setup.sh bench

setup-guest:
	@setup/setup.sh guest

# Nothing happens without the switch; an engine of your own is found without it.
setup-engine:
	@if [ "$${TESTBED_DOCKER:-}" = start ]; then setup/docker-engine.sh ensure; fi

lock: ## write requirements.lock anew from pyproject.toml
	@setup/lock.sh

lock-images: setup ## pin the versions of the Debian packages in the images anew
	@setup/docker-engine.sh ensure
	@$(BIN)/testbed images lock $(ARGS)

clean: ## remove caches, build products and the reports of runs
	@rm -rf build runs .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	@find . -path ./.venv -prune -o -path ./.git -prune -o -name __pycache__ -type d -print0 | xargs -0r rm -rf

distclean: clean ## clean, and remove .venv and the set-up's own files
	@rm -rf .venv .setup
