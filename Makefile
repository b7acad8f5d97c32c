# frrcam: `make run` sets everything up and runs; `make test` sets everything up and tests. PYTHON=… picks another one.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test test-train test-browser test-vm check clean

run: $(VENV)/run.stamp
	@mkdir -p out
	$(BIN)/frrcam start --snapshot out/run.png $(ARGS)

# A CI runs the slow ones too; they skip, with the reason, what its machine cannot (no Chromium, no kernel).
test: check
	$(BIN)/python -m pytest $(if $(CI),-m "not vm")

test-train: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m train

test-browser: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m browser

# A User-Mode Linux with real v4l2loopback and vivid, then one with systemd as PID 1: docs/vm.md.
test-vm: $(VENV)/dev.stamp
	tests/vm/all.sh $(or $(FRRCAM_VM_PYTHON),$(BIN)/python) $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A venv that was left half made (Debian and Ubuntu without python3-venv) is made again the next time.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "frrcam needs Python 3.11 or later: make PYTHON=…")'
	$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q -e .
	touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install -q torch==2.13.0
	$(BIN)/pip install -q -e '.[train,dev]'
	touch $@ $(VENV)/run.stamp

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
