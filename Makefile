# One command from a fresh machine to a live-migrated VM: make run
TOPO ?= two_servers
TARGET ?= auto
P4C ?= auto
PLANE ?= hybrid
NIC ?= nic1
ARGS ?=

PY := .venv/bin/python
LAB = $(PY) -m topologies --topo $(TOPO) --target $(TARGET) --p4c $(P4C) --plane $(PLANE) $(ARGS)
export TARGET P4C PLANE

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check format shell bench-tools bench bench-quick bench-switch report clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  variables: TOPO=$(TOPO) TARGET=auto|native|bmv2 P4C=auto|p4c|native PLANE=$(PLANE) NIC=$(NIC)"

setup: ## install what is missing (Debian packages, .venv); at once when nothing is
	@./scripts/setup.sh

run: setup ## start the lab and a prompt; without a terminal, the tour
	@$(LAB)

demo: setup ## start the lab, run the scripted tour, print pass/fail
	@$(LAB) --tour

test: ## all tests
	@./scripts/setup.sh test
	@$(PY) -m pytest $(ARGS)

check: setup ## format, lint, strict types
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy

format: setup ## let the formatter and the linter fix what they can
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

shell: setup ## p4runtime-shell on one NIC of the running lab (NIC=nic1)
	@./scripts/shell.sh $(NIC)

bench-tools: setup
	@./scripts/setup.sh bench

bench: bench-tools ## measure the planes side by side (half an hour; ARGS picks)
	@$(PY) -m bench measure $(ARGS)

bench-quick: bench-tools ## the same in three minutes
	@$(PY) -m bench measure --quick $(ARGS)

bench-switch: bench-tools ## the switches alone: Linux bridge, BMv2, p4native (docs/performance.md)
	@$(PY) -m bench.switch --rounds 3 --page docs/performance.md $(ARGS)

report: bench-tools ## the measurements as one HTML page
	@$(PY) -m bench report $(ARGS)

clean: ## remove build products and what a killed lab left behind
	@[ ! -x $(PY) ] || $(PY) -m topologies --recover
	@rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## also remove the Python environments
	@rm -rf .venv .venv-shell *.egg-info
