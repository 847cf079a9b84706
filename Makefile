# Two commands: `make book` and `make test`. Each sets up its own .venv first, from requirements.lock.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
LOCK := requirements.lock
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1

.PHONY: book test check-site bench lab clean setup

book: setup
	$(BIN)/lrnn build

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --ignore=tests/site

# Needs Chromium: on Debian and Ubuntu `apt-get install chromium`.
check-site: setup
	$(BIN)/pytest tests/site

bench: setup
	$(BIN)/python -m benchmarks

lab: setup
	$(BIN)/jupyter lab chapters

clean:
	rm -rf _build runs notebooks

setup: .venv/complete

# torch comes before anything that asks for it, and the data package without its thirteen dependencies.
.venv/complete: $(LOCK) pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(PIP) install $(shell grep '^torch==' $(LOCK))
	$(PIP) install -r $(LOCK)
	$(PIP) install --no-deps $(shell sed -n 's/^# no-deps: //p' $(LOCK))
	$(PIP) install --no-deps --no-build-isolation --editable .
	# JupyterLab opens the chapters as notebooks.
	JUPYTER_CONFIG_DIR=$(CURDIR)/.venv/etc/jupyter $(BIN)/jupytext-config set-default-viewer myst markdown > /dev/null
	touch $@
