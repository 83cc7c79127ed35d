# The commands of this project. All that they need is Python 3.11 or newer (with venv) and make.

PYTHON ?= python3
LINES := 2.36.2 3.0.7
LINE ?= 2.36.2
JOBS ?= 2
extras-2.36.2 := dev,pymc
extras-3.0.7 := dev

comma := ,
env = .venv/pytensor-$(1)
stamp = $(call env,$(1))/.installed
bin = $(call env,$(1))/bin

# PyTensor compiles C code and caches it under the home folder. Here each line has its own cache, and no BLAS library
# is looked for, so that every machine compiles the same graphs.
flags = PYTENSOR_FLAGS='base_compiledir=$(CURDIR)/.cache/pytensor-$(1),blas__ldflags=$(if $(2),$(comma)$(2))'

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test $(LINES:%=test-%) mutants $(LINES:%=mutants-%) quick lint format generated generated-check clean

help:
	@echo 'make demo             train a small CNN on handwritten digits, export it, compare PyTensor and ONNX Runtime'
	@echo 'make test             the whole test suite on PyTensor $(LINES)'
	@echo 'make test-2.36.2      the whole test suite on one of them'
	@echo 'make quick            the fast tests on one (LINE=3.0.7 for the other)'
	@echo 'make mutants          lie about every row, on PyTensor $(LINES): each lie must be noticed; writes docs/conformance-*.md'
	@echo 'make lint             ruff and mypy'
	@echo 'make format           what ruff can mend by itself'
	@echo 'make generated        write the generated files again'
	@echo 'make generated-check  fail if that changes a file'
	@echo 'make clean            remove environments, caches and output'

# Without a C compiler fused elementwise loops run in Python, one number at a time: training would take two minutes.
unfused := $(if $(shell command -v g++ || command -v clang++),,optimizer_excluding=fusion)

demo: $(call stamp,2.36.2)
	@$(call flags,2.36.2,$(unfused)) $(call bin,2.36.2)/python examples/digits.py --output output/digits.onnx

test: $(LINES:%=test-%)

$(LINES:%=test-%): test-%: .venv/pytensor-%/.installed
	$(call flags,$*) $(call bin,$*)/python -m pytest -n $(JOBS)

mutants: $(LINES:%=mutants-%)

$(LINES:%=mutants-%): mutants-%: .venv/pytensor-%/.installed
	@mkdir -p .cache
	$(call flags,$*) $(call bin,$*)/python -m onnx_mapper test --mutants --jobs $(JOBS) --json .cache/conformance-$*.json
	$(call flags,$*) $(call bin,$*)/python tools/conformance_page.py .cache/conformance-$*.json

quick: $(call stamp,$(LINE))
	$(call flags,$(LINE)) $(call bin,$(LINE))/python -m pytest -n $(JOBS) -m 'not slow'

lint: $(call stamp,$(LINE))
	$(call bin,$(LINE))/ruff format --check .
	$(call bin,$(LINE))/ruff check .
	$(call bin,$(LINE))/mypy

format: $(call stamp,$(LINE))
	$(call bin,$(LINE))/ruff format .
	$(call bin,$(LINE))/ruff check --fix .

generated: $(LINES:%=.venv/pytensor-%/.installed)
	@set -e; for tool in tools/generate_*.py; do \
	  echo "$$tool"; $(call flags,2.36.2) $(call bin,2.36.2)/python "$$tool"; \
	done
	@echo 'tools/generate_docs.py on PyTensor 3.0.7'
	@$(call flags,3.0.7) $(call bin,3.0.7)/python tools/generate_docs.py

# Every file of the checkout is summed before and after, so this needs no clean work tree.
sums = git ls-files -z --cached --others --exclude-standard > .cache/files \
  && { xargs -0 cksum < .cache/files 2>/dev/null || true; } | LC_ALL=C sort -u

generated-check: $(LINES:%=.venv/pytensor-%/.installed)
	@mkdir -p .cache
	@$(sums) > .cache/sums-before
	@$(MAKE) --no-print-directory generated
	@$(sums) > .cache/sums-after
	@diff .cache/sums-before .cache/sums-after \
	  || { echo 'These generated files were out of date; they are now fresh: commit them.' >&2; exit 1; }
	@echo 'All generated files are up to date.'

.venv/pytensor-%/.installed: constraints/pytensor-%.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "This needs Python 3.11 or newer; \"$(PYTHON)\" is $$($(PYTHON) --version 2>/dev/null || echo missing)." \
	    'Name another: make PYTHON=/path/to/python3 ...' >&2; exit 1; }
	@echo "Installing PyTensor $* and the project in $(@D)"
	@$(@D)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $< hatchling
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $< \
	  --no-build-isolation --editable '.[$(extras-$*)]'
	@touch $@

clean:
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
