"""Program: Keras' `predict` on frames in arrays, with a trained model's weights; prints rate and accuracy."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import numpy as np

from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.program import run
from pipeline.dataset.reader import Dataset
from pipeline.moving_line.lines import RIGHT, draw_frames
from pipeline.moving_line.reading import read_lines

PROGRAM = "benchmarks.baselines.tutorial_predict"


def main(arguments: Sequence[str]) -> int:
    """Read, draw, compile, predict; print sequences a second and the share of right answers."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure Keras' predict on the network in TimeDistributed layers, on the CPU.",
        f"python -m {PROGRAM} --data_dir /tmp/lines --model_dir /tmp/run --num_sequences 1000",
    )
    add = parser.add_argument
    add("--data_dir", required=True, help="a data set, of whose test split the first sequences are taken")
    add("--model_dir", required=True, help="the run directory of a finished training")
    add("--num_sequences", type=positive_int, required=True, help="to predict")
    flags = parser.parse_args(arguments)

    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from benchmarks.baselines.tutorial import tutorial_model
    from trainer.distributed.devices import choose_device
    from trainer.run.run_directory import RunDirectory
    from trainer.run.trained_model import load_trained_model

    choose_device("cpu")
    trained = load_trained_model(RunDirectory(flags.model_dir))
    model = tutorial_model(trained.image_size, "adam")
    model.set_weights(trained.classifier.get_weights())
    paths, labels = read_lines(Dataset.open(flags.data_dir), "test", 0, flags.num_sequences)
    frames = draw_frames(paths, labels).astype(np.float32)
    model.predict(frames[:64], verbose=0)  # Compiles.
    start = time.perf_counter()
    answers = model.predict(frames, verbose=0)
    rate = len(frames) / (time.perf_counter() - start)
    accuracy = float(np.mean((answers[:, 0] >= 0.5) == (labels == RIGHT)))
    print(json.dumps({"sequences_per_second": rate, "accuracy": accuracy}))
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
