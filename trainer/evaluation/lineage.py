"""Records the origin of metrics (data, weights, training, code), and checks that the data is held out."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tensorflow as tf

import model
import pipeline
import trainer
from pipeline.command_line.errors import RequestError
from pipeline.dataset.manifest import Manifest
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import absolute_path, file_sha256
from trainer.run.versions import versions
from trainer.tasks.trainable_kind import TrainableKind


def check_held_out(run: RunDirectory, kind: TrainableKind, manifest: Manifest, split: str) -> None:
    """Check that a model was not trained on the sequences of a split.

    Where settings do not tell, a split is compared by its content digest.

    Raises:
        RequestError: if it was.
    """
    trained_on = run.training_data()
    if trained_on is None:  # A model without ``config.json``.
        return
    is_same_sample = kind.same_sample(trained_on, manifest, split)
    if is_same_sample or manifest.splits[split].content_sha256 == trained_on["train_content_sha256"]:
        raise RequestError(
            f"--split {split}: these are the sequences that the model was trained on; judge it by others"
        )


def model_part(run: RunDirectory, path: str, sha256: str, step: int) -> dict[str, Any]:
    """The part ``model``: the file of the weights and its training."""
    has_config = tf.io.gfile.exists(run.config_path)
    trained_on = run.training_data()
    return {
        "run": absolute_path(run.path),
        "path": absolute_path(path),
        "sha256": sha256,
        "step": step,
        "config_sha256": file_sha256(run.config_path) if has_config else None,
        "trained_on": None if trained_on is None else trained_on["fingerprint"],
    }


def dataset_part(
    data_dir: str, manifest: Manifest, split: str, left_out: Mapping[str, int]
) -> dict[str, Any]:
    """The part ``dataset``: the split and its content."""
    return {
        "name": manifest.dataset,
        "path": absolute_path(data_dir),
        "split": split,
        "fingerprint": manifest.fingerprint,
        "content_digest": manifest.content_digest,
        "content_sha256": manifest.splits[split].content_sha256,
        "num_sequences": manifest.splits[split].num_sequences - sum(left_out.values()),
        "left_out": {"num_sequences": sum(left_out.values()), "shards": dict(left_out)},
    }


def code_part() -> dict[str, str]:
    """The part ``code``: version, and SHA-256 over names and bytes of all sources in sorted order."""
    digest = hashlib.sha256()
    for package in (pipeline, model, trainer):
        root = Path(str(package.__file__)).parent
        for source in sorted(root.rglob("*.py")):
            content = source.read_bytes()
            name = f"{package.__name__}/{source.relative_to(root).as_posix()}"
            digest.update(f"{name} {len(content)}\n".encode() + content)
    return {"version": _version(), "sha256": digest.hexdigest()}


def environment_part() -> dict[str, str]:
    """The part ``environment``: time, machine and versions of the software."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"time": now, "platform": platform.platform(), "host": platform.node(), **versions()}


def _version() -> str:
    try:
        return importlib.metadata.version("moving-lines")
    except importlib.metadata.PackageNotFoundError:  # A source tree that is not installed.
        return "not installed"
