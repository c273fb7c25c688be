# Quartet's tasks, for people and for CI. `make` lists them.

PYTHON_ENV := .venv/bin/python
SYNCED := .venv/.synced
DATA ?=
PROFILES ?= cpu

# The recipes use all cores by themselves, and some must not overlap.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help setup demo up status down logs test test-quick lint lint-infra format bench bench-dags bench-gate bench-ingest bench-overlays bench-overview bench-serve bench-train env compose-test audit sbom clean clean-all

help: ## List the tasks
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(SYNCED): uv.lock pyproject.toml
	@PYTHON="$(PYTHON)" sh infra/local/setup.sh

setup: $(SYNCED) ## Make .venv from uv.lock, if it is not up to date; PYTHON=... picks the interpreter

demo: $(SYNCED) ## Run the pipeline through Airflow and classify images with the result; DATA=folder for your own
	@$(PYTHON_ENV) -m infra.local demo $(if $(DATA),--data "$(DATA)")

up: $(SYNCED) ## Start Airflow and the model server on this machine
	@$(PYTHON_ENV) -m infra.local up

# These three act on what runs: they must not change the environment under it.
status: ## Show what runs, and where
	@test -x $(PYTHON_ENV) || { echo "Nothing is set up here; make setup does it."; exit 1; }
	@$(PYTHON_ENV) -m infra.local status

down: ## Stop what `make up` started
	@test -x $(PYTHON_ENV) || { echo "Nothing is set up here; make setup does it."; exit 1; }
	@$(PYTHON_ENV) -m infra.local down

logs: ## Show the last lines that each component printed
	@test -x $(PYTHON_ENV) || { echo "Nothing is set up here; make setup does it."; exit 1; }
	@$(PYTHON_ENV) -m infra.local logs

test: $(SYNCED) ## Run all tests: most on all cores, then those that want the machine for themselves
	@$(PYTHON_ENV) -m pytest -m "not alone and not compose" -n auto --dist loadfile; most=$$?; \
	$(PYTHON_ENV) -m pytest -m "alone and not compose"; alone=$$?; exit $$((most | alone))

test-quick: $(SYNCED) ## Run the tests that take seconds
	$(PYTHON_ENV) -m pytest -m "not slow and not server and not compose" -n auto --dist loadfile

lint: $(SYNCED) ## Check style and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/ruff check --select AIR --preview dags plugins
	.venv/bin/mypy

lint-infra: $(SYNCED) ## Check compose file, Dockerfiles, manifests, Prometheus rules, scripts with their own tools
	@$(PYTHON_ENV) -m infra.lint

format: $(SYNCED) ## Put imports and layout in order
	.venv/bin/ruff check --select I --fix
	.venv/bin/ruff format

bench: $(SYNCED) ## Measure what bench/ measures
	$(PYTHON_ENV) -m bench

bench-dags: $(SYNCED) ## Measure how long Airflow takes to read dags/
	$(PYTHON_ENV) -m bench dags

bench-gate: $(SYNCED) ## Measure how often the gate promotes equal and better challengers
	$(PYTHON_ENV) -m bench gate

bench-ingest: $(SYNCED) ## Measure what ingest costs above reading, hashing and decoding
	$(PYTHON_ENV) -m bench ingest

bench-overlays: $(SYNCED) ## Measure whether attention lies on the lesions of phantoms
	$(PYTHON_ENV) -m bench overlays

bench-overview: $(SYNCED) ## Measure what the data of the Models page cost with 200 runs in history
	$(PYTHON_ENV) -m bench overview

bench-serve: $(SYNCED) ## Measure what the local server costs above the graph that it serves
	$(PYTHON_ENV) -m bench serve

bench-train: $(SYNCED) ## Measure what a retrain costs, against backbones in every epoch
	$(PYTHON_ENV) -m bench train

env: $(SYNCED) ## Write .env, the secrets that docker compose needs; PROFILES=cpu,monitoring,demo
	@$(PYTHON_ENV) -m infra.compose.env "$(PROFILES)"

compose-test: $(SYNCED) ## Run the stack of docker-compose.yaml, and kill its parts one after the other
	$(PYTHON_ENV) -m pytest -m compose -s

audit: $(SYNCED) ## Ask PyPI for known vulnerabilities of what is locked, and look for secrets in the files
	@$(PYTHON_ENV) -m infra.audit

sbom: $(SYNCED) ## Write var/sbom.json, a bill of materials of the lock file
	@$(PYTHON_ENV) -m infra.audit sbom var/sbom.json

clean: ## Stop the stack and remove var and every var-*: images, models, Airflow's database
	@if [ -x $(PYTHON_ENV) ]; then $(PYTHON_ENV) -m infra.local down; \
	elif ls var/run/*.json >/dev/null 2>&1; then \
		echo "var/run names processes that may still run; make setup first, to stop them."; exit 1; fi
	rm -rf var var-*

clean-all: clean ## Remove .venv and the tools' caches as well
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
