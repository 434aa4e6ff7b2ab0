# Needs only Python 3.11 or later, make and a C compiler. Everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
SHARED_DATA := ../shared/data
ifneq ($(wildcard .data),)
export VISTO_DATA := $(CURDIR)/.data
export VISTO_WEIGHTS := $(CURDIR)/.data/weights
endif

.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt data bench clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(BIN)/visto ## Train on embedded real digits, judge them, show the result
	@rm -rf demo
	$(BIN)/visto train digits -o demo/digits.visto
	$(BIN)/visto evaluate demo/digits.visto digits
	$(BIN)/visto info demo/digits.visto
	@echo; echo "The recogniser is demo/digits.visto. Yours: $(BIN)/visto train FOLDER -o NAME.visto"

test: .venv/dev lint ## Install, lint, type-check, test
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: .venv/dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

data: $(BIN)/visto ## Unpack the shared real data into .data, where it exists
	@if [ -e $(SHARED_DATA)/unpack ]; then $(BIN)/python $(SHARED_DATA)/unpack .data; \
	else echo "no shared data beside this checkout; tests that need it are skipped"; fi

bench: .venv/dev ## Measure beside the peers on the data of .data (ONLY="row row")
	$(BIN)/python -m bench $(ONLY) $(OPTIONS)

clean: ## Remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/visto: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	$(BIN)/python -m compileall -q src  # pip compiles what it copies, not what it leaves in place
	@touch $@

.venv/dev: $(BIN)/visto
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
