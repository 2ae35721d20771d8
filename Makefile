# On a fresh machine, make run and make test install what they need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install run test test-nestjs faceapi check fuzz bench lock audit licences dist site docker check-image clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/.run ## Install the service into .venv.

run: $(VENV)/.run ## Install, then serve on http://127.0.0.1:8000 (configure with PORT and FACE128_*).
	@$(BIN)/face128 serve

test: $(VENV)/.test ## Install, then run the tests.
	$(BIN)/python -m pytest -n 3 --dist loadfile

test-nestjs: $(VENV)/.run ## Build, lint and test the TypeScript clients, end to end with the service; needs Node 20.
	cd clients && npm ci && npm run build && npm run lint && npm test
	cd clients && FACE128_PYTHON=$(abspath $(BIN)/python) npm run test:e2e
	cd clients && FACE128_PYTHON=$(abspath $(BIN)/python) npm run test:nest -w nestjs -- 10

faceapi: ## Install face-api.js, the reference in the tests of its engine; needs Node and npm.
	npm install --prefix tests/faceapi_golden --no-package-lock --no-audit --no-fund

check: $(VENV)/.test ## Check lint, formatting, types and the layers of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/.test ## Test with 100,000 mutated requests, 80,000 damaged photos, 100,000 bodies of /match, 38,000 weight files; some minutes.
	FUZZ_FULL=1 $(BIN)/python -m pytest -s tests/fuzz

bench: $(VENV)/.test ## Compare with face_recognition and the naive service; writes docs/benchmarks.*. PARTS=sizes: only that.
	$(BIN)/python -m benchmarks $(PARTS)

lock: $(VENV)/.release ## Write requirements.lock: versions and hashes of the image's packages.
	$(BIN)/uv pip compile --quiet --upgrade pyproject.toml --extra mysql --extra postgresql --extra encryption --extra traces \
		--python-version 3.11 --python-platform linux --generate-hashes --no-annotate --custom-compile-command 'make lock' -o requirements.lock

audit: $(VENV)/.release ## Look for known vulnerabilities of the packages in requirements.lock.
	BIN=$(BIN) .ci/audit

licences: $(VENV)/.release ## List the licences of the packages in requirements.lock.
	$(PYTHON) -m venv $(VENV)/image
	$(VENV)/image/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip-licenses --python=$(VENV)/image/bin/python --from=mixed --format=markdown

dist: $(VENV)/.release ## Build wheel, sdist, npm packages and SBOMs of the last commit, and check them; needs Node.
	cd clients && npm ci --silent && npm run build --silent
	$(BIN)/python release/build.py

# The theme prints a notice about its successor at each start. (--quiet would ignore warnings, which stop the build.)
site: $(VENV)/.docs ## Build the documentation site into build/site, and check its links.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

docker: ## Build the image face128.
	docker build -t face128 .

check-image: $(VENV)/.test ## Build the image with buildah, and run it strictly; as root on Debian, some minutes.
	CHECK_IMAGE=1 $(BIN)/python -m pytest -s tests/test_image.py

clean: ## Remove the virtual environment, builds and caches.
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "face128 needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# --no-deps: face_recognition requires "dlib", which compiles for minutes; dlib-bin has the same module. openvino, with
# which the engine retail is compared, requires openvino-telemetry, which reports every import to its maker.
$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --editable '.[test,dev]'
	$(BIN)/python -m pip install --quiet --no-deps 'face_recognition>=1.3,<2' 'openvino>=2025.3,<2027'
	@touch $@

$(VENV)/.release: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[release]'
	@touch $@

$(VENV)/.docs: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@
