# Needs make and Python 3.11 or newer. All that is installed goes into .venv, and all that is made goes with `make clean`.

VENV := .venv
BIN := $(VENV)/bin
FLOORS := $(VENV)/floors

# The newest Python that has what we need; override with PYTHON=…
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sqlite3, ssl, sys; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' \
	2>/dev/null && break; done)

# A uv that knows dependency groups: from PATH, or else fetched into the environment.
UV := $(if $(shell uv pip install --help 2>/dev/null | grep -e --group),uv,$(BIN)/uv)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python -c constraints.txt -b constraints.txt
NEEDS = pyproject.toml constraints.txt $(BIN)/python $(filter-out uv,$(UV))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: demo test floors lint bench docs clean help

demo: $(VENV)/.demo ## See it remember, without a key, a download or a server
	@$(BIN)/ltm demo $(ARGS)

test: lint ## Check everything; ARGS="-k scope" goes to pytest
	@LTM_REQUIRE_LANGCHAIN=1 LTM_REQUIRE_LLAMAINDEX=1 $(BIN)/pytest -q -n 2 $(ARGS)
	@test -n "$(ARGS)" || $(MAKE) --no-print-directory floors

floors: $(FLOORS)/langchain/.done $(FLOORS)/llamaindex/.done ## Check the adapters on the oldest frameworks they promise
	@LTM_REQUIRE_LANGCHAIN=1 LTM_FLOORS=1 $(FLOORS)/langchain/bin/pytest -q -n 2 tests/adapters/langchain \
		--ignore tests/adapters/langchain/test_upstream.py
	@LTM_REQUIRE_LLAMAINDEX=1 $(FLOORS)/llamaindex/bin/pytest -q -n 2 tests/adapters/llamaindex

lint: $(VENV)/.test ## Check style and types only
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.test ## Measure; ARGS goes to pytest
	@$(BIN)/pytest -q -s -o python_files='bench_*.py test_*.py' tests/benchmarks $(ARGS)

docs: $(VENV)/.test ## Run every example in the docs and in docstrings
	@$(BIN)/pytest -q --doctest-modules --doctest-glob='*.md' --ignore-glob='*/migrations/*' README.md docs ltm_core $(ARGS)

clean: ## Remove the environment, caches and builds
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

$(VENV)/.demo: $(NEEDS)
	@echo "Installing ltm-core into $(VENV) …"
	@$(INSTALL) -e '.[cli]'
	@touch $@

$(VENV)/.test: $(NEEDS)
	@echo "Installing ltm-core and its tools into $(VENV) …"
	@$(INSTALL) --group dev -e '.[cli,langchain,langchain-classic,llamaindex,local,mysql,postgres,psycopg,redis,vectors]'
	@touch $(VENV)/.demo $@

$(FLOORS)/langchain/.done: PARTS = '.[langchain,langchain-classic]' blockbuster langchain-tests langgraph-checkpoint-sqlite langmem
$(FLOORS)/llamaindex/.done: PARTS = '.[llamaindex]' openai

$(FLOORS)/%/.done: tests/adapters/%/floors.txt pyproject.toml $(VENV)/.test
	@echo "Installing the oldest $* that is promised into $(@D) …"
	@rm -rf $(@D) && $(UV) venv --quiet --python $(BIN)/python $(@D)
	@$(UV) pip install --quiet --python $(@D)/bin/python -c $< -b constraints.txt \
		-e $(PARTS) hypothesis pytest pytest-asyncio pytest-xdist
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with sqlite3 and ssl was found." \
		"Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@rm -rf $(VENV)
	@"$(PYTHON)" -m venv --without-pip $(VENV)

# Debian splits ensurepip off Python. Then virtualenv or the system's own pip does it.
$(BIN)/uv: | $(BIN)/python
	@echo "Fetching uv into $(VENV) …"
	@if $(BIN)/python -m ensurepip >/dev/null 2>&1 || "$(PYTHON)" -m virtualenv --quiet $(VENV) 2>/dev/null; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv; \
	elif "$(PYTHON)" -m pip --version >/dev/null 2>&1; then \
		"$(PYTHON)" -m pip --python $(BIN)/python install --quiet --disable-pip-version-check -c constraints.txt uv; \
	else \
		echo "$(PYTHON) has neither ensurepip, virtualenv nor pip." \
			"Install one of them (on Debian: apt install python3-venv) or uv, then try again." >&2; exit 1; \
	fi
