"""Judges a trained model on held-out sequences: scores to the document of ``metrics.json``."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from typing import Any

from pipeline.program import RequestError
from pipeline.settings import DATASET_NAME
from trainer.datasets import read_manifest
from trainer.metrics import binary_metrics
from trainer.run_directory import RunDirectory, file_sha256, write_json
from trainer.salvage import open_split
from trainer.scoring import score_split
from trainer.trained_model import load_trained_model
from trainer.versions import versions

SCHEMA_VERSION = 1


def evaluate(
    data_dir: str,
    split: str,
    model_dir: str,
    output: str,
    *,
    batch_size: int = 128,
    device: str,
    on_corrupt: str = "fail",
) -> dict[str, Any]:
    """Evaluate and write ``metrics.json``.

    Args:
        data_dir: a finished data set.
        split: which of its splits.
        model_dir: the run directory of a finished training.
        output: where the document goes; replaced only by a whole new one.
        batch_size: sequences a batch; has no influence on the metrics but for float32 rounding.
        device: what it runs on, for the document.
        on_corrupt: what to do about damaged records; see `trainer.salvage.open_split`.

    Returns:
        The document: ``schema_version``, ``model``, ``dataset``, ``metrics``, ``throughput`` and
        ``environment``.

    Raises:
        RequestError: if the request is wrong; an older document is left as it is then.
        WorkError: if the data is damaged; likewise.
    """
    directory = os.path.dirname(output) or "."
    if not os.path.isdir(directory) or os.path.isdir(output):
        raise RequestError(f"--output {output}: name a file in a directory that is there")
    try:  # Minutes of work should not end at a place that takes no file.
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise RequestError(f"--output {output}: cannot be written ({error.strerror})") from error
    manifest = read_manifest(data_dir)
    run = RunDirectory(model_dir)
    trained = load_trained_model(run)
    with open_split(data_dir, manifest, split, on_corrupt) as files:
        start = time.perf_counter()
        scores = score_split(trained, files, batch_size, f"evaluating {split}")
        seconds = time.perf_counter() - start
    document = {
        "schema_version": SCHEMA_VERSION,
        "model": {
            "path": os.path.abspath(run.model_path),
            "sha256": file_sha256(run.model_path),
            "step": trained.step,
        },
        "dataset": {
            "name": DATASET_NAME,
            "path": os.path.abspath(data_dir),
            "split": split,
            "fingerprint": manifest.fingerprint,
            "num_sequences": files.num_sequences,
            "left_out": {"num_sequences": sum(files.left_out.values()), "shards": dict(files.left_out)},
        },
        "metrics": binary_metrics(scores.right, scores.labels),
        "throughput": {
            "seconds": round(seconds, 3),
            "sequences_per_second": round(files.num_sequences / seconds, 1),
            "batch_size": batch_size,
            "device": device,
        },
        "environment": {"platform": platform.platform(), "host": platform.node(), **versions()},
    }
    write_json(output, document)
    return document
