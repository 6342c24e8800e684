# For GNU make 3.81 (macOS) and later, with any POSIX shell and awk.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV_FOUND := $(shell command -v uv 2>/dev/null)
UV := $(or $(UV_FOUND),$(VENV)/.uv/bin/uv)
SYNC := $(UV) pip sync --quiet --python $(PY) --require-hashes --compile-bytecode
CHATTERBOT := $(VENV)/chatterbot.jsonl

# Some machines set it, and every start would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

ifneq ($(filter-out chatterbot,$(DATA)),)
$(error There is no DATA=$(DATA); there is DATA=chatterbot)
endif

##@ Use

.PHONY: demo
demo: $(VENV)/.runtime graphiql $(if $(filter chatterbot,$(DATA)),$(CHATTERBOT)) ## Watch a model train from labelled answers [DATA=chatterbot EXIT=1]
	@$(PY) -m server demo $(if $(filter-out 0,$(EXIT)),--exit) $(if $(DATA),--data $(CHATTERBOT) --name chatterbot)

.PHONY: serve
serve: $(VENV)/.runtime graphiql ## Start the server alone
	@$(PY) -m server serve

.PHONY: demo-databricks
demo-databricks: $(VENV)/.dev ## The same through FMAPI and AI Runtime, in an emulated Databricks workspace
	@$(PY) -m tests.emulator.demo

.PHONY: llm
llm: $(VENV)/.llm ## Install what fine-tunes language models on this machine [TORCH=cpu|cu130|auto|…]

.PHONY: mlflow-ui
mlflow-ui: $(UV) ## Browse the runs and models in MLflow's own pages, installed beside everything else [PORT=5000]
	@version=$$(sed -n 's/^mlflow-skinny==\([0-9.]*\).*/\1/p' requirements.lock); \
	MLFLOW_DISABLE_TELEMETRY=true $(UV) tool run --from "mlflow==$$version" mlflow ui --port $(or $(PORT),5000) --backend-store-uri \
		"$${TUNEGRAPH_MLFLOW_TRACKING_URI:-sqlite:///$${TUNEGRAPH_DATA_DIR:-.tunegraph}/mlflow/mlflow.db}"

.PHONY: migrate
migrate: $(VENV)/.runtime ## Bring the database to the tables of this version
	@$(PY) -m server migrate

##@ Check

.PHONY: check
check: $(VENV)/.dev ## Check format, lint, types, imports, the schema in git and the migrations
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) $(VENV)/bin/lint-imports
	@$(PY) -m schema.sdl --check
	@$(PY) -m tests.migrations

.PHONY: test
test: $(VENV)/.dev graphiql ## Run all tests [PG_BIN=folder with the programs of a Postgres to run them on]
	@$(PY) -m pytest -n 2 --dist loadfile

.PHONY: test-fast
test-fast: $(VENV)/.dev ## Run the tests that take seconds: without a database, a training, MLflow or a browser
	@$(PY) -m pytest -n 2 -m "not database and not e2e" $(addprefix --ignore=tests/,server/registry server/trainers browser wire)

.PHONY: test-e2e
test-e2e: $(VENV)/.dev ## Run the tests that start, stop and kill the real program [PG_BIN=folder]
	@$(PY) -m pytest -m e2e

.PHONY: test-large
test-large: $(VENV)/.dev ## Take a sheet of 100,000 pairs through the real program, to a trained model
	@$(PY) -m tests.large

.PHONY: test-wire
test-wire: $(VENV)/.dev $(VENV)/.genai ## Run Databricks' own clients against the emulated workspace
	@TUNEGRAPH_GENAI_PYTHON="$(CURDIR)/$(VENV)/genai/bin/python" $(PY) -m pytest tests/wire

.PHONY: test-llm
test-llm: $(VENV)/.dev $(VENV)/.llm ## Fine-tune a tiny language model, on this machine and as AI Runtime would [TORCH=cpu]
	@$(PY) -m pytest -m llm tests/server/trainers

.PHONY: differential
differential: $(VENV)/.dev ## Ask the API and its oracle the same generated questions [N=20000 SEED=1]
	@$(PY) -m tests.differential --count $(or $(N),1000) --seed $(or $(SEED),1)

.PHONY: mutants
mutants: $(VENV)/.dev ## Plant bugs in the compiler of reads, and see each found by the generated questions
	@$(PY) -m tests.mutants

.PHONY: bench
bench: $(VENV)/.dev ## Measure what reading, watching, waiting and asking cost, beside others [WRITE=docs/performance.md]
	@$(PY) -m tests.bench $(if $(WRITE),--write $(WRITE))

##@ Develop

.PHONY: screenshot
screenshot: $(VENV)/.dev graphiql ## Follow a job in GraphiQL in headless Chromium, without the internet, and take docs/graphiql.png
	@$(PY) -m tests.browser.of_a_job

.PHONY: schema
schema: $(VENV)/.dev ## Write schema/schema.graphql from the code
	@$(PY) -m schema.sdl

.PHONY: migration
migration: $(VENV)/.dev ## Write the migration that leads to the tables in the code [m="what it does"]
	@$(if $(m),,echo 'Say what it does: make migration m="add …"' >&2; exit 2)
	@$(PY) -m tests.migrations --new "$(m)"

.PHONY: lock
lock: $(UV) ## Resolve pyproject.toml into the locks again
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		pyproject.toml --group dev -o requirements-dev.lock
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		--extra llm --no-emit-package torch --constraint requirements-dev.lock pyproject.toml -o requirements-llm.lock
	@echo 'databricks_genai==1.1.8' | $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 - -o tests/wire/requirements-genai.lock

.PHONY: clean
clean: ## Remove what was installed and what the tools keep; the data of servers stays
	@rm -rf $(VENV) schema/graphiql/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find server schema tests alembic examples -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help:
	@echo 'Tunegraph turns labelled Training Sheets into fine-tuned, registered, traceable models.'
	@echo 'It needs Python 3.11 or newer and make; each command sets up what it needs first.'
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# ── Set-up: a stamp is newer than the lock that was installed ──

# Development's packages contain the runtime's. Once they are there, the runtime's lock must not remove them.
$(VENV)/.runtime: requirements.lock $(VENV)/.python | $(UV)
	@echo 'Installing the packages'
	@if [ -e $(VENV)/.dev ]; then $(SYNC) requirements-dev.lock; else $(SYNC) requirements.lock; fi
	@$(PY) -m compileall -q server schema
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.python | $(UV)
	@echo 'Installing the packages for development'
	@$(SYNC) requirements-dev.lock
	@$(PY) -m compileall -q server schema
	@touch $(VENV)/.runtime $@

# Which build of PyTorch fits is a matter of the machine, so it is not in the lock. uv finds a build by its name; wheels
# of one's own, which pip was told of, go first.
$(VENV)/.llm: requirements-llm.lock $(VENV)/.runtime | $(UV)
	@echo 'Installing PyTorch and what fine-tunes language models'
	@torch=$$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml); \
	wheel="torch-$${torch#*==}*-$$($(PY) -c 'import sys; print("cp%d%d" % sys.version_info[:2])')-*.whl"; \
	set -- --torch-backend $(or $(TORCH),cpu); \
	for folder in $(if $(TORCH),,$(PIP_FIND_LINKS)); do \
		if ls "$$folder"/$$wheel >/dev/null 2>&1; then set -- --find-links "$$folder"; fi; \
	done; \
	$(UV) pip install --quiet --python $(PY) "$$@" "$$torch"
	@$(UV) pip install --quiet --python $(PY) --require-hashes --no-deps -r requirements-llm.lock
	@touch $@

# Its pins clash with ours.
$(VENV)/.genai: tests/wire/requirements-genai.lock $(VENV)/.python | $(UV)
	@echo "Installing Databricks' own client for FMAPI, in an environment of its own"
	@$(UV) venv --quiet --allow-existing --python $(PY) $(VENV)/genai
	@$(UV) pip sync --quiet --python $(VENV)/genai/bin/python --require-hashes --compile-bytecode $<
	@touch $@

# A Python may be there under a numbered name only.
FIND_PYTHON := for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; done; \
	if [ -z "$$python" ]; then \
		echo "Tunegraph needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo 'not there')." >&2; \
		echo 'Install one, or say where it is: make PYTHON=/path/to/python3.12 …' >&2; exit 1; fi

# The Python that it was made with may be gone.
ifeq ($(shell $(PY) -ISc '' 2>/dev/null && echo works),)
.PHONY: $(VENV)/.python
endif
$(VENV)/.python: | $(UV)
	@$(FIND_PYTHON); echo "Making $(VENV) with $$("$$python" --version)"; \
	$(UV) venv --quiet --allow-existing --python "$$python" $(VENV)
	@touch $@

$(VENV)/.uv/bin/uv: .ci/uv.lock
	@$(FIND_PYTHON); echo 'Installing uv, which installs everything else'; \
	"$$python" -m venv --clear $(VENV)/.uv || { \
		echo 'python -m venv failed (see above). Install it (Debian: apt install python3-venv), or uv.' >&2; exit 1; }
	@$(VENV)/.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/uv.lock
	@touch $@

# It knows by itself whether there is anything to do, and the API works without it.
.PHONY: graphiql
graphiql: | $(UV)
	@UV="$(or $(UV_FOUND),$(CURDIR)/$(UV))" sh schema/graphiql/install.sh

$(CHATTERBOT): examples/chatterbot.lock examples/chatterbot.py $(VENV)/.runtime
	@$(UV) pip install --quiet --python $(PY) --require-hashes --no-deps -r examples/chatterbot.lock
	@$(PY) examples/chatterbot.py $@
