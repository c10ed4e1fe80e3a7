"""Makes an export, compares it with the model, and only then puts it in place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.storage import atomic_files
from pipeline.storage.directory_lock import locked
from trainer.exporting.formats import FORMATS
from trainer.exporting.samples import NUM_SAMPLES, Samples
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import save_json
from trainer.run.trained_model import check_finite, load_trained_model
from trainer.run.versions import versions

_UNFINISHED, _REPLACED = ".moving_line-export-", "replaced"
_AGREE_TO, _HALF_PRECISION_AGREES_TO = 1e-5, 0.02


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        path: of the file or directory.
        largest_difference: between its probabilities and the model's, over all samples and signatures.
    """

    path: str
    largest_difference: float


def export_model(model_dir: str, output_dir: str, format_name: str) -> Exported:
    """Export the model of a run.

    Beside the export, ``export-FORMAT.json`` says which model it was made of and how well they agree. Exports
    compute in float32; one of a model of half precision may differ from it by 0.02.

    Args:
        model_dir: the run directory of a finished training.
        output_dir: made if it is not there; an older export of the format is replaced.
        format_name: one of `FORMATS`.

    Raises:
        RequestError: if the request is wrong; nothing has changed then.
        WorkError: if the model cannot be converted, or the export answers otherwise than it; likewise.
    """
    kind = FORMATS[format_name]
    kind.check_installed()
    trained = load_trained_model(RunDirectory(model_dir))
    samples = Samples.of(trained)
    expected = np.asarray(trained.classifier.predict(samples.frames, verbose=0))[:, 0].astype(np.float64)
    check_finite(expected)
    half = any(layer.compute_dtype != "float32" for layer in trained.classifier.layers)
    path = os.path.join(output_dir, kind.name)
    if os.path.lexists(path) and not kind.is_export(path):
        raise RequestError(f"--output_dir {output_dir}: {path} is no export of this program; move it away")
    with _claimed(output_dir, path) as unfinished:
        made = os.path.join(unfinished, kind.name)
        try:
            kind.write(trained, made)
            answers = kind.answers(made, samples)
        except (OSError, tf.errors.OpError) as error:
            raise WorkError(f"{output_dir}: cannot be written ({_reason(error)})") from error
        except Exception as error:  # Keras, every converter and every runtime have their own.
            reason = one_line(error)[:200]
            raise WorkError(
                f"--format {format_name}: the model cannot be converted ({reason}); try another format"
            ) from error
        difference = max(float(np.abs(said - expected).max()) for said in answers)
        if not difference <= (_HALF_PRECISION_AGREES_TO if half else _AGREE_TO):  # Not a number neither.
            raise WorkError(
                f"the {format_name} export answers otherwise than the model, by up to {difference:g} over"
                f" {NUM_SAMPLES} sequences; it is not put in place"
            )
        for above, _, names in os.walk(unfinished):
            for name in ("", *names):
                atomic_files.sync(os.path.join(above, name), path)
        _put_in_place(made, path, os.path.join(unfinished, _REPLACED))
        atomic_files.sync(output_dir)
    document = {
        "format": format_name,
        "model": {"sha256": trained.sha256, "step": trained.step},
        "largest_difference": difference,
        "num_sequences_compared": NUM_SAMPLES,
        "versions": versions(),
    }
    save_json(os.path.join(output_dir, f"export-{format_name}.json"), document)
    return Exported(path, difference)


@contextmanager
def _claimed(output_dir: str, path: str) -> Iterator[str]:
    """A place for unfinished work inside the output directory, which nobody else works in meanwhile.

    What a killed export left there is removed, but for an export that it was about to replace. If the block
    fails, so is a directory that was made for it.
    """
    is_new = not os.path.exists(output_dir)
    try:
        os.makedirs(output_dir, exist_ok=True)
        with locked(output_dir):
            for name in os.listdir(output_dir):
                left = os.path.join(output_dir, name)
                if name.startswith(_UNFINISHED) and os.path.isdir(left):
                    if os.path.isdir(os.path.join(left, _REPLACED)) and not os.path.exists(path):
                        os.rename(os.path.join(left, _REPLACED), path)
                    shutil.rmtree(left)
            unfinished = tempfile.mkdtemp(prefix=_UNFINISHED, dir=output_dir)
            try:
                yield unfinished
            finally:
                shutil.rmtree(unfinished)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise RequestError(f"--output_dir {output_dir}: cannot be written ({one_line(error)})") from error
    finally:
        if is_new and os.path.isdir(output_dir) and not os.listdir(output_dir):
            os.rmdir(output_dir)


def _reason(error: Exception) -> str:
    """Without the names of temporary files and operations."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
    return reason.rpartition("; ")[2].partition(" [Op:")[0]


def _put_in_place(made: str, path: str, replaced: str) -> None:
    """Rename an export to its place. A directory takes two renames, as it cannot replace another."""
    if not os.path.isdir(path):
        os.replace(made, path)
        return
    os.rename(path, replaced)
    try:
        os.rename(made, path)
    except OSError:
        os.rename(replaced, path)
        raise
