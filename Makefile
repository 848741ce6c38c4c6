# make demo    installs, then renders footage of an actor and runs the whole chain on it
# make test    installs, then lints, checks types and runs the tests
# make clients opens exported files in Blender, Autodesk's SDK, ufbx, three.js, Assimp and usd-core
# make footage runs the chain on the real recordings that MOCAP_TEST_DATA points to
# make endurance kills runs, and feeds ten minutes of footage
# make recovery looks for planted truths: rigs, walks, bodies
# make retarget puts real motions on other rigs and prints what they keep
# make bench   measures speed and accuracy beside other tools
# make offsets learns where a detector puts its keypoints, in the virtual studio

PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo
# The floating-point threads of every test process together should not exceed the cores.
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: install demo test lint types unit clients footage endurance recovery retarget bench offsets clean

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

recovery: install
	$(TEST_ENV) $(BIN)/python -m pytest tests/recovery -n 2 --dist worksteal -m slow

retarget: install
	$(TEST_ENV) $(BIN)/python -m pytest tests/recovery/test_retargeting.py -m slow -s

bench: install
	bash tests/bench/install.sh
	$(TEST_ENV) $(BIN)/python -m pytest tests/bench -m slow -s
	$(TEST_ENV) $(BIN)/python tests/bench/calibration_bench.py
	$(TEST_ENV) $(BIN)/python tests/bench/solve_bench.py
	$(TEST_ENV) $(BIN)/python tests/bench/fit_bench.py bench-fit
	$(TEST_ENV) $(BIN)/python tests/bench/pixels_bench.py bench-pixels
	$(TEST_ENV) $(BIN)/python tests/bench/detector_bench.py bench-detectors

offsets: install
	$(BIN)/python -m mocap.virtual.learn_offsets

clean:
	rm -rf .venv .venv-clients .venv-bench demo bench-fit bench-pixels bench-detectors
