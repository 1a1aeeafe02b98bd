# Everything a person or CI runs here. `make` alone lists it. Nothing needs root, Docker, Redis or a system PostgreSQL.
.DEFAULT_GOAL := help
.PHONY: help setup demo up browser test test-stores letters rehearse typescript check types lint contracts mutate audit docs openapi messages configuration bench prove-limit lock clean

MAKEFLAGS += --no-print-directory
python := .venv/bin/python
# Commands that need settings but no deployment.
manage := DJANGO_SETTINGS_MODULE=tests.settings $(python) manage.py

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make up and make demo take PORT (8000), DATA_DIR (var), DATABASE_URL and the rest of .env.example"

setup: ## .venv with the locked packages (instant when nothing changed)
	@aisuru_mistral/launcher/setup.sh

demo: setup ## everything on http://127.0.0.1:8000 with a simulated Mistral and two tenants, and the story told
	@exec $(python) -m aisuru_mistral.launcher demo --follow-parent

up: setup ## the same service against the real Mistral, without sample data
	@exec $(python) -m aisuru_mistral.launcher up --follow-parent

browser: setup
	@$(python) -m tests.browser.chromium

test: setup browser ## the whole test suite (PYTEST="-k name" narrows it)
	@$(python) -m tests.browser.chromium
	$(python) -m pytest $(PYTEST)

letters: setup ## every letter that is mailed, as HTML and text in both languages, in var/letters
	AIM_LETTERS=var/letters $(python) -m pytest -n 0 -q tests/notices/test_letters.py tests/notices/test_mailing.py -k letter
	@ls var/letters | wc -l

rehearse: setup browser ## what takes minutes: the demo, the image without Docker, brokers, faults, a restore, every page in a browser
	$(python) -m pytest -n 0 -v --durations 10 -m rehearsal $(PYTEST)

# What must hold on every broker and on every PostgreSQL: queues, limits, and what breaks.
queues := tests/stores tests/shell/test_celery.py tests/organizations/test_outbox.py tests/notices/test_delivering.py \
  tests/keys/test_validation.py tests/keys/test_races.py tests/keys/test_faults.py \
  tests/registry/test_publishing.py tests/registry/test_publishing_faults.py tests/registry/test_logins.py
limiters := tests/gateway/test_limits.py tests/gateway/test_pacing.py tests/gateway/test_shared.py tests/gateway/test_together.py \
  tests/gateway/test_messages_together.py tests/gateway/test_processes.py tests/api/test_throttling.py tests/spend/test_limits.py \
  tests/spend/test_race.py tests/spend/test_ledger.py
failures := tests/gateway/test_durability.py tests/gateway/test_deploy.py tests/gateway/test_faults.py \
  tests/spend/test_recovery.py tests/spend/test_rollups.py tests/api/test_idempotency.py
test-stores: setup ## queues, limits and failures on TEST_DATABASE_URL, or our own PostgreSQL, and on every broker there is
	$(python) -m pytest --durations 10 -m "rehearsal or not rehearsal" $(queues) $(limiters) $(failures) $(PYTEST)

npm := tests/clients/typescript
typescript: setup ## types for TypeScript generated from the schema, compiled and exercised; needs Node and npm
	@command -v npm >/dev/null && npm ci --prefix $(npm) --no-audit --no-fund --ignore-scripts --silent --fetch-timeout=20000 --fetch-retries=1 \
	    || { echo "There is no npm here, or it cannot install: the TypeScript client was not checked."; exit 0; }; \
	    test -d $(npm)/node_modules && $(python) -m pytest -n 0 -q -rs tests/clients/test_typescript_client.py

check: lint types contracts ## formatting, lint, types, import contracts, migrations, schema drift (-j2 for two at once)

types: setup
	$(python) -m mypy .

lint: setup
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	$(python) -m ruff check --isolated --select S --ignore S608 tenants/*/migrations # statements of our own names

contracts: setup
	.venv/bin/lint-imports
	$(manage) makemigrations --check --dry-run
	$(manage) spectacular --validate | diff -u docs/openapi.yaml - || { \
	    echo "docs/openapi.yaml differs from the code: run 'make openapi' and commit it"; exit 1; }

mutants := var/mutants
mutate: setup ## breaks the vault, prices and money of the last commit in hundreds of ways, and tells what no test noticed
	@eval "$$($(python) -P aisuru_mistral/launcher/pip_settings.py)"; rm -rf $(mutants); mkdir -p $(mutants); \
	git archive HEAD | tar x -C $(mutants); cd $(mutants); export VIRTUAL_ENV=$(CURDIR)/.venv; \
	mutmut="$(CURDIR)/.venv/bin/uv run --active --no-project --with mutmut==3.8.1 mutmut"; \
	PYTHONPATH=. $$mutmut run --max-children 2 && $$mutmut results

audit: setup ## bandit over the code, and PyPI asked whether a locked version of production has a known vulnerability
	@.ci/bandit
	@.ci/audit

# Links are looked after by tests/papers; here everything else that Sphinx cannot read is an error.
docs: setup ## builds the pages into var/docs; README.html is the first
	$(python) -m sphinx -q -W -C -b html -d var/docs/.doctrees . var/docs -D extensions=myst_parser -D root_doc=README \
	    -D project=aisuru-mistral -D html_theme=alabaster -D html_show_sourcelink=0 -D myst_heading_anchors=4 \
	    -D suppress_warnings=toc.not_included,misc.highlighting_failure,myst.xref_missing \
	    -D exclude_patterns=.venv,var,tests,bench,.git

openapi: setup ## writes docs/openapi.yaml from the code
	$(manage) spectacular --validate --file docs/openapi.yaml

configuration: setup ## writes docs/configuration.md from env.py
	$(python) -m aisuru_mistral.reference

messages := tenants/locale/it/LC_MESSAGES/django
messages: setup ## collects the sentences for people and compiles their translations
	.venv/bin/python -m babel.messages.frontend -q extract -F tenants/locale/babel.cfg --no-location --sort-output --omit-header -k gettext_lazy -k ngettext_lazy:1,2 -o $(messages).pot tenants
	.venv/bin/pybabel -q update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date -l it -i $(messages).pot -o $(messages).po
	.venv/bin/pybabel -q compile -l it -i $(messages).po -o $(messages).mo
	@rm $(messages).pot

bench: setup ## the benchmarks, each against a bare rival measured in the same run (long; PART="keys" for one)
	$(python) -m bench $(or $(PART),all)

prove-limit: setup ## 200 clients in several processes race for the last of a budget, half a minute
	$(python) -m bench.prove_limit

compile := .venv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --python-version 3.12
# From the main index alone: a folder of wheels made for this machine would leave out those of all others.
lock: setup ## newest versions of everything into the hashed locks
	@eval "$$($(python) -P aisuru_mistral/launcher/pip_settings.py)"; unset UV_INDEX UV_FIND_LINKS; set -e; \
	$(compile) requirements/base.in -o requirements/base.txt; \
	$(compile) requirements/kms.in -c requirements/base.txt -o requirements/kms.txt; \
	$(compile) requirements/sbom.in -c requirements/base.txt -o requirements/sbom.txt; \
	$(compile) requirements/dev.in -c requirements/base.txt -c requirements/kms.txt -c requirements/sbom.txt -o requirements/dev.txt; \
	echo uv | $(compile) --no-annotate - -c requirements/dev.txt -o requirements/uv.txt

clean: ## removes .venv and caches; never the data in DATA_DIR
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
