# make demo: from one seed to judged metrics.   make test: the tests.   make help: everything else.

PYTHON ?= python3
VENV ?= .venv
DEMO_DIR ?= demo
BENCH_DIR ?= build/bench
SEED ?= 0
IMAGE_SIZE ?= 50
NUM_TRAIN ?= 200000
NUM_VALIDATION ?= 5000
NUM_TEST ?= 10000
EPOCHS ?= 4
STEPS_PER_EPOCH ?= 200
CLIPS_DIR ?= demo/clips
NUM_CLIPS ?= 7200
CLIPS_EPOCHS ?= 6
DESCRIBE_DIR ?= demo/describe
NUM_CAPTIONED ?= 16000
DESCRIBE_EPOCHS ?= 8

FLINK := build/flink
FLINK_VERSION := 1.19.3

# With an NVIDIA driver on the machine, TensorFlow comes with CUDA; for make gpu, JAX does, too.
GPU := $(shell command -v nvidia-smi)
EXTRAS := [$(if $(GPU),gpu,train)]

RUN = $(VENV)/bin/python -m
INSTALL = $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: help install install-dev demo demo-clips demo-describe test test-slow coverage test-docs test-storms test-engines test-dask test-data-service test-flink lint format images bench breakdown figures scaling gpu seeds seeds-clips observations constraints clean

help:  ## Show the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 19

install: $(VENV)/installed  ## Make the virtual environment and install the programs.
install-dev: $(VENV)/installed-dev  ## The same with what tests and checks need.

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python setup.py constraints.txt
	@echo "installing into $(VENV): TensorFlow and Beam, some minutes the first time"
	$(INSTALL) --editable '.$(EXTRAS)'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/installed-demo: $(VENV)/installed
	$(INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/installed-gpu: $(VENV)/installed-dev
	$(INSTALL) --editable '.[gpu,jax-cuda]'
	@touch $@

demo: install  ## Generate, train, evaluate, predict and draw; into demo/.
	@mkdir -p $(DEMO_DIR)
	$(RUN) pipeline.generate --output_dir $(DEMO_DIR)/data --seed $(SEED) --image_size $(IMAGE_SIZE) \
	    --num_train $(NUM_TRAIN) --num_validation $(NUM_VALIDATION) --num_test $(NUM_TEST)
	$(RUN) trainer.task --data_dir $(DEMO_DIR)/data --model_dir $(DEMO_DIR)/run --seed $(SEED) \
	    --epochs $(EPOCHS) --steps_per_epoch $(STEPS_PER_EPOCH)
	$(RUN) trainer.predict --model_dir $(DEMO_DIR)/run --seed $(SEED) --output $(DEMO_DIR)/prediction.png
	$(RUN) pipeline.preview --output $(DEMO_DIR)/line.png --data_dir $(DEMO_DIR)/data --split test --first 3
	$(RUN) pipeline.preview --output $(DEMO_DIR)/line.gif --data_dir $(DEMO_DIR)/data --split test --first 3
	$(RUN) trainer.evaluate --data_dir $(DEMO_DIR)/data --split test --model_dir $(DEMO_DIR)/run \
	    --output $(DEMO_DIR)/metrics.json --plots $(DEMO_DIR)/report
	@echo "data set     $(DEMO_DIR)/data/manifest.json"
	@echo "model        $(DEMO_DIR)/run/model.keras"
	@echo "training     $(DEMO_DIR)/run/training.png, history.csv, tensorboard/"
	@echo "metrics      $(DEMO_DIR)/metrics.json, report/report.html"
	@echo "pictures     $(DEMO_DIR)/prediction.png, line.png, line.gif"

demo-clips: $(VENV)/installed-demo  ## Write a folder of clips, then the same as demo from it; into demo/clips/.
	@mkdir -p $(CLIPS_DIR)
	$(RUN) examples.moving_digits --output_dir $(CLIPS_DIR)/source --num_clips $(NUM_CLIPS) --seed $(SEED)
	$(RUN) pipeline.generate --dataset clips --source $(CLIPS_DIR)/source --output_dir $(CLIPS_DIR)/data \
	    --frame_size 64 --channels 1 --fps 8
	$(RUN) trainer.task --data_dir $(CLIPS_DIR)/data --model_dir $(CLIPS_DIR)/run --seed $(SEED) \
	    --num_frames 16 --epochs $(CLIPS_EPOCHS) --batch_size 64 --learning_rate 0.002
	$(RUN) trainer.evaluate --data_dir $(CLIPS_DIR)/data --model_dir $(CLIPS_DIR)/run --single_frame \
	    --output $(CLIPS_DIR)/metrics.json --plots $(CLIPS_DIR)/report
	$(RUN) trainer.predict --model_dir $(CLIPS_DIR)/run --input $(CLIPS_DIR)/source/test/clockwise --top_k 2 \
	    --output $(CLIPS_DIR)/predictions.jsonl
	$(RUN) trainer.predict --model_dir $(CLIPS_DIR)/run --data_dir $(CLIPS_DIR)/data --num_sequences 4 \
	    --output $(CLIPS_DIR)/prediction.png
	$(RUN) pipeline.preview --data_dir $(CLIPS_DIR)/data --split test --contact_sheet $(CLIPS_DIR)/contact_sheet.png
	@echo "clips        $(CLIPS_DIR)/source/"
	@echo "data set     $(CLIPS_DIR)/data/manifest.json"
	@echo "model        $(CLIPS_DIR)/run/model.keras"
	@echo "metrics      $(CLIPS_DIR)/metrics.json, report/report.html"
	@echo "answers      $(CLIPS_DIR)/predictions.jsonl"
	@echo "pictures     $(CLIPS_DIR)/prediction.png, contact_sheet.png"

demo-describe: $(VENV)/installed-demo  ## The same with clips that captions describe; into demo/describe/.
	@mkdir -p $(DESCRIBE_DIR)
	$(RUN) examples.moving_digits --captions --output_dir $(DESCRIBE_DIR)/source --num_clips $(NUM_CAPTIONED) \
	    --seed $(SEED)
	$(RUN) pipeline.generate --dataset clips --source $(DESCRIBE_DIR)/source/captions.csv \
	    --output_dir $(DESCRIBE_DIR)/data --frame_size 64 --channels 1 --fps 8
	$(RUN) trainer.task --task describe --data_dir $(DESCRIBE_DIR)/data --model_dir $(DESCRIBE_DIR)/run --seed $(SEED) \
	    --num_frames 8 --sampling segments --max_words 8 --units 128 --attention \
	    --epochs $(DESCRIBE_EPOCHS) --batch_size 32 --learning_rate 0.002
	$(RUN) trainer.evaluate --data_dir $(DESCRIBE_DIR)/data --model_dir $(DESCRIBE_DIR)/run \
	    --output $(DESCRIBE_DIR)/metrics.json --plots $(DESCRIBE_DIR)/report
	$(RUN) trainer.predict --model_dir $(DESCRIBE_DIR)/run --input '$(DESCRIBE_DIR)/source/test/*-left-up.*' --beam 4 \
	    --output $(DESCRIBE_DIR)/predictions.jsonl
	$(RUN) trainer.predict --model_dir $(DESCRIBE_DIR)/run --data_dir $(DESCRIBE_DIR)/data --num_sequences 4 \
	    --output $(DESCRIBE_DIR)/prediction.png
	@echo "clips        $(DESCRIBE_DIR)/source/"
	@echo "data set     $(DESCRIBE_DIR)/data/manifest.json"
	@echo "model        $(DESCRIBE_DIR)/run/model.keras"
	@echo "metrics      $(DESCRIBE_DIR)/metrics.json, report/report.html"
	@echo "captions     $(DESCRIBE_DIR)/predictions.jsonl"
	@echo "picture      $(DESCRIBE_DIR)/prediction.png"

test: install-dev  ## Run the tests; under ten minutes.
	$(RUN) pytest --numprocesses 2

test-slow: install-dev  ## Run the tests of several seconds each whose subject a faster test touches.
	$(RUN) pytest -m 'slow and not storm' --numprocesses 2 $(if $(PART),--part $(PART))

# Measuring makes Python 3.11 half as slow again.
coverage: install-dev  ## Run the tests, the slow ones too, and measure their coverage.
	$(RUN) pytest -m 'not storm and not commands' --numprocesses 2 --cov --cov-report=term

test-docs: install-dev  ## Run every command of README and docs, made small; a few minutes.
	$(RUN) pytest tests/commands -m commands --numprocesses 2 --dist loadfile

test-storms: install-dev  ## Kill, flip, fill disks, change NumPy, train on clusters: half an hour, or KILLS=2.
	$(RUN) pytest -m storm --numprocesses 2 $(if $(KILLS),--kills $(KILLS)) $(if $(PART),--part $(PART))

test-engines: install-dev $(FLINK)/ready  ## The same programs on Dask, Flink, a tf.data service; ten minutes.
	$(RUN) pytest tests/engines --engine dask --engine data-service --engine flink --numprocesses 2 --dist loadfile \
	    $(if $(PART),--part $(PART))

test-dask: install-dev  ## Only on Dask: a scheduler and two workers.
	$(RUN) pytest tests/engines --engine dask
test-data-service: install-dev  ## Only training through a tf.data service: a dispatcher and two workers.
	$(RUN) pytest tests/engines --engine data-service
test-flink: install-dev $(FLINK)/ready  ## Only on Flink: embedded, and a cluster of three JVMs; fetches 400 MB.
	$(RUN) pytest tests/engines --engine flink

$(FLINK)/ready: tests/engines/flink/pom.xml | $(VENV)/installed-dev
	@for tool in java mvn; do command -v $$tool >/dev/null || { echo "$$tool is missing: install a JDK (17) and Maven"; exit 1; }; done
	@rm -rf $(FLINK) && mkdir -p $(FLINK)
	mvn --quiet --batch-mode --file tests/engines/flink/pom.xml package -DbuildDirectory=$(CURDIR)/$(FLINK)/maven
	mv $(FLINK)/maven/flink-job-server.jar $(FLINK)/job-server.jar
	$(RUN) pip download --disable-pip-version-check --quiet --no-deps --dest $(FLINK) apache-flink-libraries==$(FLINK_VERSION)
	tar --extract --gzip --strip-components 2 --directory $(FLINK) --file $(FLINK)/apache-flink-libraries-$(FLINK_VERSION).tar.gz \
	    --wildcards '*/deps/lib/flink-dist-*' '*/deps/lib/log4j-*' '*/deps/licenses/*'
	@rm -rf $(FLINK)/maven $(FLINK)/*.tar.gz && touch $@

lint: install-dev  ## Check style and types.
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

format: install-dev  ## Format the sources.
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

images: demo demo-clips demo-describe  ## Draw the README's pictures anew, from these demos.
	$(RUN) pipeline.preview --output docs/images/small.png --image_size 5 --num_frames 5
	$(RUN) pipeline.preview --statistics docs/images/statistics.png --data_dir $(DEMO_DIR)/data
	$(RUN) trainer.predict --model_dir $(DEMO_DIR)/run --data_dir $(DEMO_DIR)/data --first 3 --num_sequences 2 \
	    --output docs/images/prediction.png
	$(RUN) trainer.evaluate --data_dir $(DEMO_DIR)/data --model_dir $(DEMO_DIR)/run --flips 0,0.001,0.003,0.01,0.03 \
	    --output $(DEMO_DIR)/metrics.json --plots $(DEMO_DIR)/report
	cp $(DEMO_DIR)/report/accuracy_by_frame.png $(DEMO_DIR)/report/robustness.png docs/images/
	$(RUN) trainer.predict --model_dir $(CLIPS_DIR)/run --data_dir $(CLIPS_DIR)/data --first 3 --num_sequences 2 \
	    --output docs/images/clips.png
	$(RUN) trainer.predict --model_dir $(DESCRIBE_DIR)/run --data_dir $(DESCRIBE_DIR)/data --first 3 --num_sequences 2 \
	    --output docs/images/caption.png
	cp $(DEMO_DIR)/line.png $(DEMO_DIR)/line.gif $(DEMO_DIR)/run/training.png docs/images/

bench: install-dev  ## Compare with TFDS, plain loops and the tutorial way; half an hour, QUICK=1, or ROWS=...
	$(RUN) benchmarks.bench $(if $(ROWS),--rows $(ROWS)) --output_dir $(BENCH_DIR) $(if $(QUICK),--quick)
	$(if $(QUICK)$(ROWS),,$(MAKE) figures)

breakdown: install-dev  ## Measure where the time of every stage goes, beside the limits of a core.
	OMP_NUM_THREADS=1 $(RUN) benchmarks.bench --rows breakdown --output_dir $(BENCH_DIR) $(if $(QUICK),--quick)

figures: install-dev  ## Write the documents' figures and the chart anew from benchmarks/results/.
	$(RUN) benchmarks.publish

scaling: install-dev $(FLINK)/ready  ## Measure stages, engines, 100,000 shards and resuming, and size a billion sequences.
	$(RUN) benchmarks.bench --rows stages engines many_shards resuming --flink_home $(FLINK) --output_dir $(BENCH_DIR) $(if $(QUICK),--quick)
	$(RUN) benchmarks.sizing --stages $(BENCH_DIR)/stages.json --many_shards $(BENCH_DIR)/many_shards.json

gpu: install-dev $(if $(GPU),$(VENV)/installed-gpu)  ## Measure training, drawing and reading on a GPU, on every backend that sees one.
	$(RUN) benchmarks.bench --rows gpu --output_dir $(BENCH_DIR) $(if $(QUICK),--quick)

seeds: install  ## Train and evaluate the demo from several seeds; prints the errors of each.
	$(RUN) benchmarks.bench --rows seeds --output_dir $(DEMO_DIR)/seeds --steps_per_epoch $(STEPS_PER_EPOCH) --epochs $(EPOCHS)

seeds-clips: install-dev  ## Train and evaluate the demo of moving digits from several seeds; prints the accuracy of each.
	$(RUN) benchmarks.bench --rows clip_seeds --output_dir $(DEMO_DIR)/seeds --epochs $(CLIPS_EPOCHS) $(if $(QUICK),--quick)

observations: install  ## Train and evaluate on dots, random windows and noise; prints the accuracy of each.
	$(RUN) benchmarks.bench --rows observations --output_dir $(DEMO_DIR)/observations

constraints: install-dev  ## Write constraints.txt anew from setup.py.
	$(INSTALL) uv
	$(RUN) uv pip compile setup.py --all-extras --universal --python-version 3.11 --upgrade --quiet \
	    --no-annotate --custom-compile-command "make constraints" --output-file constraints.txt

clean:  ## Remove what the targets made, but for the virtual environment.
	rm -rf $(DEMO_DIR) build dist *.egg-info .coverage* .pytest_cache .ruff_cache .mypy_cache htmlcov
