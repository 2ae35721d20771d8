# Two commands on a fresh machine do everything: make run, make test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install run test test-nestjs faceapi check fuzz bench lock audit licences docker clean

help: ## Say what can be made.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

install: $(VENV)/.run ## Install the service into .venv.

run: $(VENV)/.run ## Install, then serve on http://127.0.0.1:8000 (PORT and FACE128_* change that).
	@$(BIN)/face128 serve

test: $(VENV)/.test ## Install, then run the tests.
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-nestjs: $(VENV)/.run ## Build, lint and test the NestJS client, end to end with the service; needs Node 20.
	cd clients/nestjs && npm ci && npm run build && npm run lint && npm test
	cd clients/nestjs && FACE128_PYTHON=$(abspath $(BIN)/python) npm run test:e2e

faceapi: ## Install the real face-api.js, the tests' outside truth for that engine; needs Node and npm.
	npm install --prefix tests/faceapi_golden --no-package-lock --no-audit --no-fund

check: $(VENV)/.test ## Lint, formatting, types, and who may import whom.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/.test ## Damage 80,000 photos, 100,000 bodies of /match and 28,000 weight files; some minutes.
	FUZZ_FULL=1 $(BIN)/python -m pytest -s tests/fuzz

bench: $(VENV)/.test ## Measure against face_recognition and the naive service. Writes docs/benchmarks.*
	$(BIN)/python -m benchmarks

lock: $(VENV)/.release ## Pin and hash what the image installs, into requirements.lock.
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra mysql --extra postgresql --python-version 3.11 \
		--python-platform linux --generate-hashes --no-annotate --custom-compile-command 'make lock' -o requirements.lock

audit: $(VENV)/.release ## Ask the advisory database for what is known against requirements.lock.
	$(BIN)/pip-audit --require-hashes --no-deps --strict -r requirements.lock

licences: $(VENV)/.release ## List the licences of what requirements.lock installs.
	$(PYTHON) -m venv $(VENV)/image
	$(VENV)/image/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip-licenses --python=$(VENV)/image/bin/python --from=mixed --format=markdown

docker: ## Build the image face128.
	docker build -t face128 .

clean: ## Remove what was installed and built.
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "face128 needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# face_recognition asks for "dlib" by name, which compiles for minutes; dlib-bin is the same module. Hence --no-deps.
$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --editable '.[test,dev]'
	$(BIN)/python -m pip install --quiet --no-deps 'face_recognition>=1.3,<2'
	@touch $@

$(VENV)/.release: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[release]'
	@touch $@
