# Everything a developer does here, by name. `make` alone lists the targets.
#
# What the targets need is installed into .venv, from the locks and with hashes, when it is first
# wanted and when a lock has changed; otherwise a target starts at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= 2

# Made last, so an installation that was cut short is done again.
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
READY_DOCS := $(VENV)/.ready-docs

# What is compiled where there is a C compiler; a change there is installed anew.
NATIVE := $(wildcard src/groupd/native/*.pyx src/groupd/native/*.pxd)
INSTALL := rm -f src/groupd/native/*.so && $(PIP) --no-deps --no-build-isolation --editable .
TELL := $(BIN)/python -c 'from groupd import native; print("groupd runs compiled." if native.IS_COMPILED \
	else "groupd runs in plain Python; with gcc and python3-dev a post costs a third less: install them, then make clean serve.")'

UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help serve demo test test-pure test-web screenshots sim kill fuzz check format bench bench-peers bench-crowds bench-search bench-store bench-work replay proto docs js-client lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

serve: $(READY) ## run a server on tcp://127.0.0.1:7400, its data under ./groupd-data
	$(BIN)/groupd serve

demo: $(READY) ## look at it: people who talk, the chat, the console and a share page, in a browser
	@$(BIN)/python -c "import chitchat_dataset" 2>/dev/null || $(PIP) --no-deps "$$(sed -n 's/^examples = \["\(.*\)"\]/\1/p' pyproject.toml)" || echo "Without chitchat-dataset all that is said is invented."
	$(BIN)/groupd demo $(if $(ADDRESS),--web $(ADDRESS))

test: $(READY_DEV) ## run the tests
	$(BIN)/pytest -n $(WORKERS)

# What has nothing to do with how requests are read and pushes are sent, or starts a program for each test.
NOT_PURE := bench browser cli crash e2e examples guides js loadtest operate web
test-pure: $(READY_DEV) ## run those of the engine and the server in plain Python
	GROUPD_PURE=1 $(BIN)/pytest -n $(WORKERS) $(addprefix --ignore=tests/,$(NOT_PURE))

# The browser is Debian's, and installing it takes root; axe-core and TypeScript come from npm.
BROWSER := chromium fonts-noto-cjk fonts-noto-color-emoji
WEB := build/web/node_modules/axe-core/axe.min.js
$(WEB):
	npm install --no-save --no-audit --no-fund --prefix build/web axe-core@4 typescript@5 @types/node@20

.PHONY: browser
browser: $(READY_DEV) $(WEB)
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get install -y $(BROWSER); } || { \
		echo "chromium is missing; as root: apt-get install $(BROWSER)" >&2; exit 1; }
	@$(BIN)/python -c 'import playwright' 2>/dev/null || $(PIP) 'playwright>=1.50'

test-web: browser ## try the chat in a real browser; installs what that takes
	$(BIN)/pytest tests/js tests/browser

screenshots: browser ## take the pictures of docs/screenshots anew
	$(BIN)/python -m tests.browser.screenshots

SEEDS ?= 2000
sim: $(READY_DEV) ## simulate SEEDS=2000 runs with faults, crashes and power loss
	$(BIN)/python -m groupd.testing.simulation --seeds $(SEEDS)

CYCLES ?= 1000
kill: $(READY_DEV) ## kill a real server CYCLES=1000 times while clients use it
	$(BIN)/python -m tests.crash.kill_loop --cycles $(CYCLES)

EXECUTIONS ?= 2000000
fuzz: $(READY_DEV) ## feed EXECUTIONS=2000000 malformed inputs, in all, to whatever reads any
	$(BIN)/python -m tests.fuzz.run --executions $(EXECUTIONS)

check: $(READY_DEV) ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY_DEV) ## put the code into its one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY_DEV) ## measure the fan-out and print the table
	$(BIN)/python -m bench

ROUNDS ?= 3
bench-peers: $(READY_DEV) ## measure it beside other servers, in about half an hour
	$(BIN)/python -m bench --peers --tls --rounds $(ROUNDS) \
		--json docs/bench/peers.jsonl --svg docs/bench/peers.svg

bench-crowds: $(READY_DEV) ## beside 15,000 subscribers, 5,000 who reconnect, 5,000 who are idle
	$(BIN)/python -m bench --scenario f --scenario r --scenario g --tls --seconds 15 \
		--json docs/bench/crowds.jsonl

bench-search: $(READY_DEV) ## measure search and nearby among 100,000 groups
	$(BIN)/python -m bench.search

bench-store: $(READY_DEV) ## measure the store: appends, history, restart
	$(BIN)/python -m bench.store

bench-work: $(READY_DEV) ## measure the work per post, stage by stage
	$(BIN)/python -m bench.work

replay: $(READY_DEV) ## play real conversations through a server and check every delivery
	$(BIN)/python examples/replay.py

proto: $(READY_DEV) ## write the schema in proto/ anew from the code
	$(BIN)/python -m groupd.testing.schema proto

docs: $(READY_DOCS) ## build the documentation as a site in build/site
	$(BIN)/python -m tools.pages lay-out build/pages
	$(BIN)/zensical build --clean --strict
	$(BIN)/python -m tools.pages finish build/site

# Packed from a copy: npm does not follow the link to the modules. TypeScript makes its types.
PACKED ?= build
js-client: $(WEB) ## pack the client for JavaScript, for npm to install, into build/groupd-client-VERSION.tgz
	rm -rf $(PACKED)/groupd-client && mkdir -p $(PACKED)/groupd-client
	node clients/js/pack.js $(PACKED)/groupd-client
	cd $(PACKED) && npm pack --silent ./groupd-client
	@echo "In your app: npm install $(abspath $(PACKED))/groupd-client-*.tgz"

lock: $(READY_DEV) ## write all locks anew, with the newest versions
	$(UV_COMPILE) --upgrade --extra build --output-file requirements.lock pyproject.toml
	$(UV_COMPILE) --upgrade --extra dev --extra build --constraints requirements.lock \
		--output-file requirements-dev.lock pyproject.toml
	$(UV_COMPILE) --upgrade --extra docs --constraints requirements-dev.lock \
		--output-file requirements-docs.lock pyproject.toml

clean: ## remove what can be made again; data stays
	rm -rf $(VENV) build dist src/groupd/native/*.so src/groupd/native/*.c src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "groupd needs Python 3.11 or newer, and $(PYTHON) is not." >&2; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; \
		exit 1; \
	}
	$(PYTHON) -m venv $(VENV)

$(READY): requirements.lock pyproject.toml $(NATIVE) | $(BIN)/python
	$(PIP) --require-hashes --requirement requirements.lock
	$(INSTALL)
	@$(TELL)
	@touch $@

$(READY_DEV): requirements-dev.lock pyproject.toml $(NATIVE) | $(BIN)/python
	$(PIP) --require-hashes --requirement requirements-dev.lock
	$(INSTALL)
	@$(TELL)
	@touch $(READY) $@

# Only what builds pages: what else is in .venv stays as it is.
$(READY_DOCS): requirements-docs.lock | $(BIN)/python
	$(PIP) --require-hashes --requirement requirements-docs.lock
	@touch $@
