# The commands of this project. All that they need is make, and Python 3.11 or newer (with venv); the newest PyTensor
# needs Python 3.12. tools/find-python says where Pythons are looked for.

# The PyTensor releases that the tests run on, from constraints/, oldest first, and those that a Python was found for.
LINES := $(patsubst constraints/pytensor-%.txt,%,$(sort $(wildcard constraints/pytensor-*.txt)))
NEWEST := $(lastword $(LINES))
named = PYTHON_$(subst .,_,$(1))
python = $(shell PYTHON="$(PYTHON)" $(named)="$($(named))" tools/find-python $(1))
HERE := $(foreach line,$(LINES),$(if $(call python,$(line)),$(line)))
MISSING := $(filter-out $(HERE),$(LINES))
LINE ?= $(lastword $(HERE))
JOBS ?= 2
extras-2.36.2 := dev,pymc
extras-3.0.7 := dev
extras-$(NEWEST) := dev,pymc,ml,recipes,docs
demo-2.36.2 := demo
demo-$(NEWEST) := demo,ml

comma := ,
env = .venv/pytensor-$(1)
stamp = $(call env,$(1))/.installed
bin = $(call env,$(1))/bin

# PyTensor compiles C code and caches it under the home folder. Here each line has its own cache, and no BLAS library
# is looked for, so that every machine compiles the same graphs.
flags = PYTENSOR_FLAGS='base_compiledir=$(CURDIR)/.cache/pytensor-$(1),blas__ldflags=$(if $(2),$(comma)$(2))'

missing = @if [ -n '$(MISSING)' ]; then echo 'Left out, as no Python here runs it: PyTensor $(MISSING).' \
  'Install Python 3.13, or name one: make PYTHON_$(subst .,_,$(firstword $(MISSING)))=/path/to/python ...' >&2; fi

# Who is done takes tests over from the others: the slow ones stand together.
pytest = -m pytest -n $(JOBS) --dist worksteal

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo bench test $(LINES:%=test-%) $(LINES:%=pytest-%) $(LINES:%=rows-%) mutants $(LINES:%=mutants-%) \
  conformance $(LINES:%=conformance-%) quick lint format generated generated-check constraints docs clean

help:
	@echo 'make demo             train a small CNN on handwritten digits, export it, compare PyTensor and ONNX Runtime'
	@echo 'make test             the whole test suite, on PyTensor $(LINES)'
	@echo 'make test-2.36.2      the whole test suite on one of them: pytest-2.36.2 and rows-2.36.2'
	@echo 'make rows-2.36.2      every case of every row on one, and a twentieth of the lies about rows, each of which must be'
	@echo '                      noticed; rows that are alike on $(NEWEST) are lied about and run at all opsets there alone'
	@echo 'make quick            the fast tests on one (LINE=3.0.7 for another)'
	@echo 'make conformance      the same with all lies on all of them; writes docs/conformance-*.md, which make test compares'
	@echo 'make mutants          lie about every row on all of them'
	@echo 'make bench            export times, nodes and latency of networks, as ratios (BENCH=resnet50 for some)'
	@echo 'make lint             ruff and mypy'
	@echo 'make format           what ruff can mend by itself'
	@echo 'make generated        write the generated files again'
	@echo 'make generated-check  fail if that changes a file'
	@echo 'make docs             the site, in output/site; warnings are errors'
	@echo 'make constraints      pin the newest packages again, also the newest PyTensor of its line'
	@echo 'make clean            remove environments, caches and output'

# Without a C compiler fused elementwise loops of PyTensor 2 run in Python, one number at a time: training would take
# two minutes.
unfused := $(if $(shell command -v g++ || command -v clang++),,optimizer_excluding=fusion)
demo := $(if $(filter $(NEWEST),$(HERE)),$(NEWEST),2.36.2)

demo: .venv/demo-$(demo)/.installed
	@$(call flags,demo-$(demo),$(if $(filter 2.%,$(demo)),$(unfused))) .venv/demo-$(demo)/bin/python \
	  examples/$(if $(filter 2.%,$(demo)),digits.py,digits_pytensor_ml.py) --output output/digits.onnx

test: $(HERE:%=test-%)
	$(missing)

$(LINES:%=test-%): test-%: pytest-% rows-%

# The oldest line compiles C, without optimising it; the newest compiles by Numba; the one between has no compiler.
tested-2.36.2 := gcc__cxxflags=-O0
tested-3.0.7 := cxx=

# Without the sample of items that `make quick` runs: rows-% runs all.
$(LINES:%=pytest-%): pytest-%: .venv/pytensor-%/.installed
	$(call flags,$*,$(tested-$*)) $(call bin,$*)/python $(pytest) --ignore tests/test_rows.py

# Every case of every row, and lies about the rows: on the newest line about all, on the others about what differs there.
# Opsets are ONNX's affair, not PyTensor's: rows that are alike on an older line are tested at one opset there.
lies = $(call flags,$(1)) $(call bin,$(1))/python -m onnx_mapper test --mutants --jobs $(JOBS) $(2) \
  $(if $(filter-out $(NEWEST),$(1)),--unlike $(NEWEST)) --json .cache/conformance-$(1).json
page = $(call flags,$(1)) $(call bin,$(1))/python tools/conformance_page.py $(2) .cache/conformance-$(1).json

$(LINES:%=rows-%): rows-%: .venv/pytensor-%/.installed
	@mkdir -p .cache
	$(call lies,$*,--one-in 20 $(if $(filter-out $(NEWEST),$*),--one-opset))
	$(call page,$*,--check)

conformance: $(HERE:%=conformance-%)
	$(missing)

$(LINES:%=conformance-%): conformance-%: .venv/pytensor-%/.installed
	@mkdir -p .cache
	$(call lies,$*)
	$(call page,$*)

mutants: $(HERE:%=mutants-%)
	$(missing)

$(LINES:%=mutants-%): mutants-%: .venv/pytensor-%/.installed
	$(call flags,$*) $(call bin,$*)/python -m onnx_mapper test --mutants --jobs $(JOBS)

# Without C: compiling it would take longer than the tests.
quick: $(call stamp,$(LINE))
	$(call flags,$(LINE),cxx=) $(call bin,$(LINE))/python $(pytest) -m 'not slow'

# PyTensor 2.36.2 is the last with conv2d, in which most of these networks are written. What is in the environment of
# torch, onnxscript and jax2onnx (.venv/pytensor-2.36.2/bin/pip install -e '.[exporters]') is compared with.
bench: $(call stamp,2.36.2) $(call stamp,$(NEWEST))
	@mkdir -p output
	$(call flags,2.36.2) $(call bin,2.36.2)/python benchmarks/run.py --json output/bench.json $(BENCH)
	$(call flags,2.36.2) $(call bin,2.36.2)/python benchmarks/export_scaling.py
	$(call flags,2.36.2) $(call bin,2.36.2)/python benchmarks/large_weights.py
	$(call flags,$(NEWEST)) $(call bin,$(NEWEST))/python benchmarks/densities.py --json output/densities.json
	$(call bin,2.36.2)/python benchmarks/pictures.py output/pictures --networks output/bench.json \
	  --densities output/densities.json

lint: $(call stamp,2.36.2)
	$(call bin,2.36.2)/ruff format --check .
	$(call bin,2.36.2)/ruff check .
	$(call bin,2.36.2)/mypy
	$(call bin,2.36.2)/mypy --config-file tests/mypy.ini

format: $(call stamp,2.36.2)
	$(call bin,2.36.2)/ruff format .
	$(call bin,2.36.2)/ruff check --fix .

# What differs from line to line is written by the PyTensor of each.
generated: $(HERE:%=.venv/pytensor-%/.installed)
	@set -e; for tool in tools/generate_schema.py tools/generate_validated.py tools/generate_kernels.py; do \
	  echo "$$tool"; $(call flags,2.36.2) $(call bin,2.36.2)/python "$$tool"; \
	done
	@set -e; for line in $(HERE); do for tool in tools/generate_fingerprints.py tools/generate_docs.py; do \
	  echo "$$tool on PyTensor $$line"; \
	  PYTENSOR_FLAGS="base_compiledir=$(CURDIR)/.cache/pytensor-$$line,blas__ldflags=" \
	    .venv/pytensor-$$line/bin/python "$$tool"; \
	done; done
	$(missing)

# Every file of the checkout is summed before and after, so this needs no clean work tree.
sums = git ls-files -z --cached --others --exclude-standard > .cache/files \
  && { xargs -0 cksum < .cache/files 2>/dev/null || true; } | LC_ALL=C sort -u

generated-check: $(HERE:%=.venv/pytensor-%/.installed)
	@mkdir -p .cache
	@$(sums) > .cache/sums-before
	@$(MAKE) --no-print-directory generated
	@$(sums) > .cache/sums-after
	@diff .cache/sums-before .cache/sums-after \
	  || { echo 'These generated files were out of date; they are now fresh: commit them.' >&2; exit 1; }
	@echo 'All generated files are up to date.'

docs: $(call stamp,$(NEWEST))
	$(call flags,$(NEWEST)) $(call bin,$(NEWEST))/python -m sphinx -W --keep-going -q -b html docs output/site
	@echo 'output/site/index.html'

# The first two numbers of the newest release say its line: 3.3.8 may become 3.3.9.
constraints:
	@tools/pin $(HERE)

# An environment for the tests of a line, or with what the demo needs and no more.
.venv/pytensor-%/.installed: constraints/pytensor-%.txt pyproject.toml tools/install
	@tools/install $* $(@D) '$(extras-$*)'

.venv/demo-%/.installed: constraints/pytensor-%.txt pyproject.toml tools/install
	@tools/install $* $(@D) '$(demo-$*)'

clean:
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
