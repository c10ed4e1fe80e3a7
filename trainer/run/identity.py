"""What identifies a run, and whether a run directory holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import tensorflow as tf

from pipeline.command_line.errors import RequestError, one_line
from pipeline.dataset.manifest import Manifest
from trainer.input.dataset_spec import DatasetSpec
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import absolute_path, save_json
from trainer.run.versions import versions
from trainer.tasks.trainable_kind import trainable_kind
from trainer.training.settings import Execution, TrainingSettings


def run_request(
    settings: TrainingSettings, manifest: Manifest, left_out: Mapping[str, int]
) -> dict[str, Any]:
    """All that the weights of a run depend on.

    Args:
        settings: the settings of the run.
        manifest: of its data set.
        left_out: number of damaged sequences left out, by shard.

    Returns:
        The settings by name, what the kind of data set adds, ``dataset`` (its fingerprint) and ``left_out``.
    """
    spec = DatasetSpec.of(manifest)
    return {
        **settings.to_json(),
        **trainable_kind(spec, settings.task).identity(spec),
        "dataset": manifest.fingerprint,
        "left_out": dict(left_out),
    }


def check_same_run(run: RunDirectory, request: dict[str, Any]) -> None:
    """Check that a run directory is new, empty, or holds the run of ``request``.

    Raises:
        RequestError: if not, with the differences.
    """
    config = run.read_config()
    if config is None:
        if tf.io.gfile.exists(run.path) and (
            not tf.io.gfile.isdir(run.path) or tf.io.gfile.listdir(run.path)
        ):
            raise RequestError(
                f"--model_dir {run.path}: holds something else; name an empty or new directory"
            )
    elif config != request:
        differences = (
            f"{name} {config.get(name)}, not {request.get(name)}"
            for name in {**request, **config}
            if config.get(name) != request.get(name)
        )
        raise RequestError(
            f"--model_dir {run.path}: holds another run ({', '.join(differences)}); name another directory"
        )


def write_config(
    run: RunDirectory,
    settings: TrainingSettings,
    execution: Execution,
    data_dir: str,
    manifest: Manifest,
    left_out: Mapping[str, int],
) -> None:
    """Write ``config.json``, from which the run can be repeated, if it does not exist.

    Args:
        run: the run directory.
        settings: the settings of the run.
        execution: how the run is carried out.
        data_dir: directory of the data set.
        manifest: of the data set.
        left_out: number of damaged sequences left out, by shard.

    Raises:
        RequestError: if the file cannot be written.
    """
    if tf.io.gfile.exists(run.config_path):
        return
    kind = trainable_kind(DatasetSpec.of(manifest), settings.task)
    dataset = {
        "path": absolute_path(data_dir),
        "fingerprint": manifest.fingerprint,
        **kind.config(manifest),
        "num_train": manifest.splits["train"].num_sequences,
        "train_content_sha256": manifest.splits["train"].content_sha256,
        "left_out": dict(left_out),
    }
    document = {
        "settings": settings.to_json(),
        "dataset": dataset,
        "execution": asdict(execution),
        "versions": versions(),
    }
    try:
        save_json(run.config_path, document)
    except (OSError, tf.errors.OpError) as error:
        raise RequestError(f"--model_dir {run.path}: cannot be written ({one_line(error)})") from error
