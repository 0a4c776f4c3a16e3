# Everything a newcomer needs: python3.11 and make.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test base wheel check fix docs example bench constraints clean

help: ## show this help
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP) ## the whole job, end to end, on the embedded default
	$(BIN)/curate demo

test: $(STAMP) ## run all tests
	$(BIN)/python -m pytest

base: ## the license gate on the base install alone
	test -x .venv-base/bin/python || $(PYTHON) -m venv .venv-base
	.venv-base/bin/python -m pip install --quiet -c constraints.txt -e . pytest pytest-socket pytest-randomly hypothesis
	.venv-base/bin/python -m pytest -q tests/licenses tests/policy

wheel: $(STAMP) ## build the wheel, install it bare, weigh it; the action and the hook in scratch repositories
	CURATE_INSTALL=1 $(BIN)/python -m pytest -s tests/test_install.py

check: $(STAMP) ## format, lint, types, layers, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

fix: $(STAMP) ## format and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## the documentation as a site, in site/; a warning or a broken link is an error
	$(BIN)/python -m sphinx -W --keep-going --nitpicky --quiet -b html docs site

example: $(STAMP) ## remake reports/example: one real run of the demo, and a page of every kind
	$(BIN)/python docs/make_example.py

bench: $(STAMP) ## list the benches, some of which take hours; NAME=licenses runs one, with ARGS
ifdef NAME
	$(BIN)/python bench/$(NAME).py $(ARGS)
else
	@grep -l '__name__ == "__main__"' bench/*.py | while read -r one; do \
	  printf '%-22s %s\n' "$$(basename "$$one" .py)" "$$(head -n 1 "$$one" | tr -d '"')"; done
endif

constraints: $(STAMP) ## pin every version this environment holds
	@{ grep '^#' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | LC_ALL=C sort -f; } > constraints.tmp
	@mv constraints.tmp constraints.txt

clean: ## remove the environment and caches
	rm -rf $(VENV) .venv-base .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site docs/made
