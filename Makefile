# SPDX-License-Identifier: Apache-2.0
# The only door to this project: `make` alone says what is behind it.

# The interpreter to use, and the environment made with it.
PYTHON ?= python3
VENV ?= .venv
# More arguments for pytest, as in: make test ARGS='-k redis'
ARGS ?=

# 3.13t is the free-threaded build.
PYTHONS := 3.10 3.11 3.12 3.13 3.14 3.15 3.13t
# Where the examples listen, and their flags; the broker of the example with Celery.
PORT ?= 8000
FLAGS ?= sqlite:///$(abspath $(VENV))/example-flags.db?sync=1
REDIS_PORT ?= 6379
REDIS_URL ?= redis://127.0.0.1:$(REDIS_PORT)/0
OLDEST := $(firstword $(PYTHONS))
# What the tests need, an extra of pyproject.toml.
EXTRA ?= dev
# Versions for the packages that the tests need, such as tests/interpreters/oldest.txt.
CONSTRAINTS ?=
# In the environment of a free-threaded Python. C extensions must not switch the GIL on.
# Some packages have no wheel for it: then an older release that has one is installed.
FREE_THREADED := PYTHON_GIL=0 PIP_PREFER_BINARY=1 EXTRA=core-tests
CORE := not (redis or postgres or consul or s3 or thrift or interop or slow)
GENERATED := flipper_thrift/python/feature_flag_store

version := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# An environment carries a mark of what is installed in it, older than what it follows
# from if that has changed, and of another name if the interpreter is another.
runtime := $(VENV)/.runtime-$(version)
development := $(VENV)/.development-$(version)
examples := $(VENV)/.examples-$(version)
pip := $(VENV)/bin/python -m pip -qq --disable-pip-version-check
pytest := $(VENV)/bin/python -m pytest
# Without the theme's advertisement of its successor.
mkdocs := NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs
in-examples := cd examples && exec $(abspath $(VENV))/bin/python -m
prefork := $(in-examples) gunicorn --workers 4 --bind 127.0.0.1:$(PORT)
# Many tests wait for what is away, so there are more workers than processors. The tests
# of a class stay with one.
parallel := --numprocesses 4 --dist loadscope --no-loadscope-reorder

# Otherwise each of the many programs that tests start would compile the library anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo install-dev servers interpreters test check test-all contract bench
.PHONY: example-django example-flask example-fastapi example-celery
.PHONY: bench-quick docs docs-serve thrift architecture terminal-picture mutants
.PHONY: release-check

help: ## Say what the targets are for
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Settings: PYTHON=python3.12 another interpreter, ARGS='-k redis' more for pytest"

demo: $(runtime) ## Install the library with its command and run examples/quickstart.py
	@$(VENV)/bin/python examples/quickstart.py

example-%: export FLIPPER_URL = $(FLAGS)

example-django: $(examples) ## Serve a Django site by gunicorn, and say what to try
	@$(begin-example)
	@$(prefork) django_site:application

example-flask: $(examples) ## Serve a Flask app by gunicorn, and say what to try
	@$(begin-example)
	@$(prefork) flask_site:app

example-fastapi: $(examples) ## Serve a FastAPI app by uvicorn, and say what to try
	@$(begin-example)
	@$(in-examples) uvicorn --port $(PORT) fastapi_site:app

example-celery: export REDIS_URL := $(REDIS_URL)
example-celery: try = REDIS_URL='$(REDIS_URL)' $(abspath $(VENV))/bin/python examples/celery_worker.py 7
example-celery: $(examples) ## Run a worker of Celery, and say what to try
	@$(begin-example)
	@$(run-worker)

install-dev: $(development) ## Make .venv with the library and all that its tests need

servers: ## Find or install the servers that the tests talk to
	@sh tests/servers/install.sh

interpreters: ## Find or install the Pythons that test-all runs the tests on
	@sh tests/interpreters/install.sh $(PYTHONS)

test: $(development) servers ## Run all tests
	$(pytest) $(parallel) $(COVERAGE) $(ARGS)

check: $(development) ## Check format, lint, types and imports, then run all tests with coverage
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	@# Meanwhile pytest compiles the tests, which otherwise each of its workers does.
	$(pytest) --quiet --collect-only >/dev/null & $(VENV)/bin/mypy --strict flipper && wait
	$(pytest) --quiet tests/architecture
	@$(MAKE) --no-print-directory test COVERAGE='--cov --cov-report=term'

test-all: interpreters ## Run the tests that need no server on each Python, also 3.13t
	@found=; \
	for version in $(PYTHONS); do \
		python=$$(sh tests/interpreters/find.sh $$version) || continue; \
		echo "== Python $$version: $$python"; \
		found="$$found $$version"; \
		case $$version in *t) settings='$(FREE_THREADED)' ;; *) settings= ;; esac; \
		env $$settings $(MAKE) --no-print-directory test-core PYTHON="$$python" VENV=.venv-$$version \
			CONSTRAINTS="$$(test $$version != $(OLDEST) || echo tests/interpreters/oldest.txt)" || exit; \
	done; \
	echo "Tested on Python:$${found:- none of $(PYTHONS) was found}"; \
	test -n "$$found"

.PHONY: test-core
test-core: $(development)
	$(pytest) --quiet $(parallel) -m '$(CORE)' $(ARGS)

contract: $(development) servers ## Run the store contract on one store: make contract STORE=redis
	@test -n "$(STORE)" || { echo "Which store? As in: make contract STORE=redis"; exit 2; }
	$(pytest) tests/contract -k '$(STORE)' $(ARGS)

bench: $(development) servers ## Compare the speed with other libraries', tables and charts
	$(VENV)/bin/python -m benchmarks $(ARGS)

bench-quick: $(development) servers ## Measure the speed in under two minutes, without other libraries and fleets
	$(VENV)/bin/python -m benchmarks --quick $(ARGS)

docs: $(development) ## Build the documentation site in build/site
	@$(mkdocs) build --strict --config-file docs/site/mkdocs.yml
	@echo "The site is in build/site; make docs-serve shows it with its search"

docs-serve: $(development) ## Serve the documentation site, and build it again when a page changes
	@$(mkdocs) serve --config-file docs/site/mkdocs.yml

thrift: ## Generate flipper_thrift/ from thrift/feature_flag_store.thrift
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	thrift --gen py -out "$$folder" thrift/feature_flag_store.thrift; \
	cd "$$folder"/feature_flag_store; \
	rm ./*-remote; \
	sed -i '$(mend-exception)' ttypes.py; \
	cd "$(CURDIR)"; \
	rm -rf $(GENERATED); \
	mv "$$folder"/feature_flag_store $(GENERATED)

architecture: $(development) ## Draw docs/architecture.svg from the imports in the code
	$(VENV)/bin/python tests/architecture/draw.py

mutants: $(development) ## Change the rules in many small ways, and fail if no test notices one
	$(pip) install --requirement tests/mutants/requirements.txt
	$(VENV)/bin/python tests/mutants/find_survivors.py $(ARGS)

terminal-picture: $(development) ## Draw docs/command-line.svg from a run of the command in a terminal
	$(VENV)/bin/python tests/project/record_terminal.py

release-check: $(development) ## Build the archives in dist/, check them, and try the wheel in a new environment
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist .
	$(VENV)/bin/python -m twine check --strict dist/*
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(VENV)/bin/python -m venv --without-pip "$$folder/environment"; \
	python="$$folder/environment/bin/python"; \
	$(pip) --python "$$python" install "$$(ls "$$PWD"/dist/*.whl)[cli]"; \
	cp examples/quickstart.py "$$folder"; \
	cd "$$folder"; \
	"$$python" -I -c 'import flipper; print(flipper.__version__, flipper.__file__)'; \
	"$$python" -I quickstart.py; \
	"$$folder/environment/bin/flipper" --version; \
	"$$folder/environment/bin/flipper" create NEW_CHECKOUT

define try
curl 'http://127.0.0.1:$(PORT)/?user=7'
  curl -i 'http://127.0.0.1:$(PORT)/checkout/?user=7'
endef
define WHAT_TO_TRY
In another terminal:

  export FLIPPER_URL='$(FLAGS)'
  PATH=$(abspath $(VENV))/bin:"$$PATH"
  $(try)
  flipper enable NEW_CHECKOUT                       # for everybody
  flipper condition add NEW_CHECKOUT user_id=7      # for one user
  flipper condition clear NEW_CHECKOUT
  flipper bucket set NEW_CHECKOUT 25% --by user_id  # a rollout
  flipper disable BUTTON_COLOUR                     # no variant for anybody

endef
export WHAT_TO_TRY

define begin-example
$(VENV)/bin/python -m flipper import --yes examples/flags.toml && echo "$$WHAT_TO_TRY"
endef

define run-worker
pidfile=; \
$(VENV)/bin/python -c 'import redis; redis.Redis.from_url("$(REDIS_URL)").ping()' 2>/dev/null || { \
	command -v redis-server >/dev/null || { \
		echo "No Redis answers at $(REDIS_URL), and redis-server is not installed;"; \
		echo "'make servers' installs it, or says how"; exit 1; }; \
	pidfile=$$(mktemp) && \
	redis-server --bind 127.0.0.1 --port $(REDIS_PORT) --save '' --daemonize yes \
		--pidfile "$$pidfile" >/dev/null && echo "Started a Redis at port $(REDIS_PORT)"; }; \
($(in-examples) celery --app celery_worker worker --concurrency 2) & worker=$$!; \
trap : INT; trap 'kill $$worker' TERM HUP; \
while kill -0 $$worker 2>/dev/null; do wait $$worker; done; \
test -z "$$pidfile" || kill $$(cat "$$pidfile")
endef

# What is raised is hashable, and what Python adds to it (__notes__) is none of its value.
define mend-exception
/^class FlipperException/,/^class / { \
	s/in self\.__dict__\.items()/in (("code", self.code), ("message", self.message))/; \
	s/self\.__dict__ == other\.__dict__/(self.code, self.message) == (other.code, other.message)/; \
	s/def __ne__(self, other)/def __hash__(self)/; \
	s/return not (self == other)/return hash((self.code, self.message))/; \
}
endef

$(runtime): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "No Python 3.10 or newer is '$(PYTHON)'; as in: make PYTHON=python3.12"; exit 1; }
	@test -x $(VENV)/bin/python$(version) || $(make-environment)
	$(pip) install --editable '.[cli]'
	@touch $@

$(development): $(runtime) $(CONSTRAINTS)
	$(pip) install --editable '.[$(EXTRA)]' $(addprefix --constraint ,$(CONSTRAINTS))
	@touch $@

$(examples): $(runtime)
	$(pip) install --editable '.[celery,cli,django,fastapi,flask]' gunicorn uvicorn
	@touch $@

# Some systems' Python cannot put pip into an environment, though it has pip itself.
define make-environment
{ rm -rf $(VENV); $(PYTHON) -m venv $(VENV) || { \
	$(PYTHON) -m venv --clear --without-pip $(VENV) && \
	$(PYTHON) -m pip -qq --python $(VENV)/bin/python install pip; }; }
endef
