# Two commands: `make gate` and `make test`. Each sets up what it needs in .venv, given Python, make and a package index.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
SHARED := $(abspath ../shared/data)
# Tests on real CT run where the data lies and say why they were skipped where it does not.
export MEDGAN_SHARED_DATA ?= $(if $(wildcard $(SHARED)),$(SHARED),)

.PHONY: docs gate gate-early gate-collapsed gate-blurred gate-retrained gate-worse table test lowest slow lint wheel clean

gate: .venv/installed ## the main job: the example gate on the embedded phantom study
	cd examples/gate && ../../$(PYTEST)

# Each of the next three fails and names the metrics that became worse: pytest exits with 1, and make then with 2.
gate-early: .venv/installed ## the same gate on the model after a quarter of its training; fails, as it should
	cd examples/gate && ../../$(PYTEST) --medgan-generator=../../fixtures/dcgan_early.safetensors

gate-collapsed: .venv/installed ## the same gate on a mode-collapsed model; fails, as it should
	cd examples/gate && ../../$(PYTEST) --medgan-generator=../../fixtures/dcgan_collapsed_128.safetensors

gate-blurred: .venv/installed ## the same gate on the accepted model, blurred by 0.8 pixels; fails, as it should
	cd examples/gate && ../../$(PYTEST) --medgan-generator=blurred:draw

gate-retrained: .venv/installed ## a model trained anew with another seed, against five runs of its recipe
	cd examples/retrained && ../../$(PYTEST)

gate-worse: .venv/installed ## a model of a worse recipe against the same five runs; fails, as it should
	cd examples/retrained && ../../$(PYTEST) --medgan-generator=worse.safetensors

# The paper's table and figures on the embedded study. TRAIN=1 trains both models by the recipes of fixtures/README.md and
# fine-tunes InceptionV3 for a second table first: hours, and an interrupted call goes on where it stopped.
# MODELS="NAME=SPEC ..." adds columns.
TABLE := inception_score,fid,precision,recall,improved_precision,improved_recall,density,coverage
TRAINED := build/table
TRAIN_ON := --images phantom:300x10@1 --split slice --crop image --seed 1 --shift 12 --precision bfloat16 --half
table: .venv/installed $(if $(TRAIN),$(addprefix $(TRAINED)/,dcgan/generator.safetensors pggan/generator.safetensors \
		finetuned/inception_v3.safetensors)) ## Real, DCGAN and PGGAN, and figures 3, 4 and 5 in build/table/figures
	$(BIN)/medgan evaluate --data phantom,crop=image --samples all --metrics $(TABLE) --extractor compact \
		--model DCGAN=$(if $(TRAIN),$(TRAINED)/dcgan/generator.safetensors,fixtures/dcgan_phantom_128.safetensors) \
		--model PGGAN=$(if $(TRAIN),$(TRAINED)/pggan/generator.safetensors,fixtures/pggan_phantom.safetensors) \
		$(foreach model,$(MODELS),--model $(model)) --figures $(TRAINED)/figures --report-real \
		$(if $(TRAIN),--beside inception_v3$(comma)weights=$(TRAINED)/finetuned/inception_v3.safetensors)

comma := ,
$(TRAINED)/dcgan/generator.safetensors:
	$(BIN)/medgan train dcgan $(TRAIN_ON) --out $(@D) $(if $(wildcard $(@D)),--resume) --generator-width 28 \
		--discriminator-width 32 --batch 32 --steps 17070 --learning-rate 3e-4 --penalty 0.1 --average 0.9995 --tolerance 0
$(TRAINED)/pggan/generator.safetensors:
	$(BIN)/medgan train pggan $(TRAIN_ON) --out $(@D) $(if $(wildcard $(@D)),--resume) --latent 128 \
		--generator-width 128 --discriminator-width 128 --fading 30000 --stable 30000 --stables 64:60000,128:776512 \
		--batch 32 --batches 4:64,8:64,16:64,32:64 --learning-rate 1.5e-3 --loss logistic --penalty 0.1 --penalty-every 8 \
		--average 0.9995
$(TRAINED)/finetuned/inception_v3.safetensors:
	$(BIN)/medgan finetune --data phantom,crop=image --weights $(or $(WEIGHTS),imagenet) --out $(@D) \
		$(if $(wildcard $(@D)/*.safetensors),--resume)

test: .venv/installed ## everything but the slow tests, and the examples in docstrings
	OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile -m "not slow"
	$(PYTEST) --doctest-modules -q pytest_medgan

lowest: ## the fast tests of metrics, gate and plugin with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lowest/tools
	.venv-lowest/tools/bin/python -m pip install --quiet uv
	.venv-lowest/tools/bin/uv venv --quiet --clear --python $(PYTHON) .venv-lowest/env
	UV_CACHE_DIR=.venv-lowest/cache .venv-lowest/tools/bin/uv pip install --quiet --python .venv-lowest/env --resolution lowest-direct ".[lowest]"
	.venv-lowest/env/bin/python -m pytest -q -o filterwarnings=default -m "not slow and not peer" -n 2 tests/metrics tests/gate tests/plugin

slow: .venv/installed
	OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile -m slow

docs: .venv/installed ## the documentation site, in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: .venv/installed
	$(BIN)/python -m build --wheel --outdir dist .

.venv/installed: pyproject.toml constraints.txt
	@echo "setting up .venv: a few minutes and about 5 GB, torch above all"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv .venv-lowest .medgan build dist medgan-report .pytest_cache .mypy_cache .ruff_cache
