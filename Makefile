# Modelvane. `make help` lists the targets; `make demo` and `make test` do all their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Which Kubernetes: auto (kind where Docker or Podman can pull its node image, else local), local, kind,
# or current (your own context, which must be named: CLUSTER=current CONTEXT=my-context).
CLUSTER ?= auto
CONTEXT ?=
# Clusters are named after the checkout unless you say otherwise.
NAME ?=
# T=pattern runs only the tests whose names match; KEEP=1 leaves the test cluster up.
T ?=
KEEP ?=
export KEEP

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/modelvane
UV_VERSION := 0.13.9
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
PY := .venv/bin/python
SYNCED := .venv/.synced
CLUSTER_FLAGS := --cluster $(CLUSTER) $(if $(NAME),--name $(NAME)) $(if $(CONTEXT),--context $(CONTEXT))
IN_CLUSTER = env=$$($(PY) -m tests.cluster env $(CLUSTER_FLAGS)) && eval "$$env" &&
PYTEST := $(PY) -m pytest $(if $(T),-k '$(T)')
# Where each file has servers of its own and mostly waits for them.
TWO_FILES := --numprocesses=2 --dist=loadfile

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ See it work
.PHONY: demo clean-demo
demo: up ## Promote a model and watch it served, on a real cluster, under live traffic
	@$(IN_CLUSTER) $(PY) -m examples.demo

clean-demo: $(SYNCED) ## Undo what the demo installed (the cluster stays: make down)
	@$(IN_CLUSTER) $(PY) -m examples.demo --clean

##@ A cluster and its images
.PHONY: up down status images extras
up: $(SYNCED) ## Start the cluster and load the images into it (the first time builds both)
	@$(PY) -m tests.cluster up $(CLUSTER_FLAGS)
	@$(PY) -m tests.cluster load $(CLUSTER_FLAGS)

extras: $(SYNCED) ## Add what some tests need: a gateway that mirrors requests, Prometheus (first built in minutes)
	@$(PY) -m tests.cluster extras $(CLUSTER_FLAGS)

down: $(SYNCED) ## Stop the cluster and remove every trace of it
	@$(PY) -m tests.cluster down $(CLUSTER_FLAGS)

status: $(SYNCED) ## Say which cluster runs
	@$(PY) -m tests.cluster status $(CLUSTER_FLAGS)

images: $(SYNCED) ## Build the container images
	@$(PY) -m images.build

##@ Checks
.PHONY: test lint types test-unit test-cli test-charts test-health test-serving test-crds test-integration test-e2e
test: $(SYNCED) ## Run every check and every test, on a cluster of its own that is removed afterwards
	@$(PY) -m tests --cluster $(CLUSTER) $(if $(NAME),--name $(NAME)) $(if $(CONTEXT),--context $(CONTEXT))

lint: $(SYNCED) ## Style, imports between modules, generated files
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/lint-imports --config operator/.importlinter --no-cache
	.venv/bin/lint-imports --config cli/.importlinter --no-cache
	$(PY) -m crds.sync --check
	$(PY) -m docs.reference.generate --check
	$(PY) -m docs.images.cli_status --check

types: $(SYNCED) ## mypy --strict
	$(PY) -m mypy

test-unit: $(SYNCED) ## Pure code and golden manifests, no cluster
	$(PYTEST) tests/unit tests/golden

test-cli: $(SYNCED) ## The command line, and its promotions in a real MLflow, no cluster
	$(PYTEST) tests/cli

test-charts: $(SYNCED) ## Render, lint and break the charts, no cluster
	@PATH="$$($(PY) -m tests.cluster tools):$$PATH" $(PYTEST) tests/charts

test-health: $(SYNCED) ## What Argo CD and Flux make of each status, no cluster
	$(PYTEST) tests/health

test-serving: $(SYNCED) ## The serving runtime over HTTP with real models, no cluster
	$(PYTEST) $(TWO_FILES) tests/serving

test-crds: $(SYNCED) ## The CRDs against the API server of the cluster that is up
	@$(IN_CLUSTER) $(PYTEST) tests/crds

test-integration: $(SYNCED) ## The operator's edges against a real API server and a real MLflow
	@$(IN_CLUSTER) $(PYTEST) $(TWO_FILES) tests/integration

test-e2e: $(SYNCED) ## End to end on the cluster that is up; one test: make test-e2e T=name
	@$(IN_CLUSTER) $(PYTEST) tests/e2e

##@ Measurements
.PHONY: bench-webhook bench-serving
bench-webhook: $(SYNCED) ## How long from a moved alias to its Deployment, with webhooks and without
	@$(IN_CLUSTER) $(PY) -m tests.bench $(BENCH)

bench-serving: $(SYNCED) ## The serving runtime beside its peers, into docs/benchmarks (40 minutes; to try it: BENCH=--quick)
	@$(PY) -m tests.bench.serving $(BENCH)

##@ Files that are made from others
.PHONY: format crds reference golden pictures
format: $(SYNCED) ## Format the Python code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

crds: $(SYNCED) ## Copy the CRDs into the chart
	$(PY) -m crds.sync

reference: crds ## Write docs/reference from the CRDs and the charts' values
	$(PY) -m docs.reference.generate

pictures: $(SYNCED) ## Draw the pictures of docs that show the command line
	$(PY) -m docs.images.cli_status

golden: $(SYNCED) ## Write the golden manifests anew; read the difference before you commit it
	$(PY) -m tests.golden

# Tools: uv from PyPI in a folder of its own, then the locked environment.
$(UV):
	@echo "uv $(UV_VERSION): installing into $(CACHE)"
	@python3 -m venv $(CACHE)/uv-$(UV_VERSION) || { echo "python3 cannot make a virtual environment: install python3-venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(CACHE)/uv-$(UV_VERSION)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(SYNCED): uv.lock pyproject.toml cli/pyproject.toml operator/pyproject.toml serving/pyproject.toml images/mlflow/pyproject.toml | $(UV)
	@echo "Python environment: .venv from uv.lock"
	@$(UV) sync --quiet --frozen --all-packages --compile-bytecode
	@$(PY) -m compileall -q operator/src serving/src
	@touch $@
