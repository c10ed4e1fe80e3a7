"""Keras' `predict` on frames in arrays, with a trained model's weights."""

from __future__ import annotations

import time

import numpy as np

from pipeline.dataset.reader import Dataset
from pipeline.moving_line.lines import RIGHT, draw_frames
from pipeline.moving_line.reading import read_lines


def predict(data_dir: str, model_dir: str, num_sequences: int) -> dict[str, float]:
    """Read, draw, compile, predict, on the CPU.

    Args:
        data_dir: a data set, of whose test split the first sequences are taken.
        model_dir: the run directory of a finished training.
        num_sequences: to predict.

    Returns:
        ``sequences_per_second``, and the share of right answers as ``accuracy``.
    """
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from benchmarks.baselines.tutorial import tutorial_model
    from trainer.distributed.devices import choose_device
    from trainer.run.run_directory import RunDirectory
    from trainer.run.trained_model import load_trained_model

    choose_device("cpu")
    trained = load_trained_model(RunDirectory(model_dir))
    model = tutorial_model(trained.image_size, "adam")
    model.set_weights(trained.classifier.get_weights())
    paths, labels = read_lines(Dataset.open(data_dir), "test", 0, num_sequences)
    frames = draw_frames(paths, labels).astype(np.float32)
    model.predict(frames[:64], verbose=0)  # Compiles.
    start = time.perf_counter()
    answers = model.predict(frames, verbose=0)
    rate = len(frames) / (time.perf_counter() - start)
    accuracy = float(np.mean((answers[:, 0] >= 0.5) == (labels == RIGHT)))
    return {"sequences_per_second": rate, "accuracy": accuracy}
