# make demo    installs, then renders footage of an actor and runs the whole chain on it
# make test    installs, then lints, checks types and runs the tests
# make clients opens exported files in Blender, three.js and Assimp
# make footage runs the chain on the real recordings that MOCAP_TEST_DATA points to
# make endurance kills runs, and feeds ten minutes of footage

PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
# The floating-point threads of every test process together should not exceed the cores.
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: install demo test lint types unit clients footage endurance clean

install: .venv/installed

.venv/installed: pyproject.toml install.sh
	PYTHON=$(PYTHON) bash install.sh
	touch $@

demo: install
	$(BIN)/mocap demo $(DEMO)

test: lint types unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/pyright

unit: install
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

clients: install
	bash tests/clients/install.sh
	$(BIN)/python -m pytest tests/clients -m slow -s

footage: install
	$(BIN)/python -m pytest tests/footage -m slow -s

endurance: install
	$(BIN)/python -m pytest tests/endurance -m slow -s

clean:
	rm -rf .venv .venv-clients demo
