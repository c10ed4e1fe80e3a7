"""Writes an export, compares it with the model, and puts it in place if they agree."""

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
from trainer.exporting.exportable import NUM_SAMPLES, Exportable
from trainer.exporting.formats import EXPORT_FORMATS, ExportFormat
from trainer.exporting.kinds import exportable_of
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import save_json
from trainer.run.versions import versions

_UNFINISHED_PREFIX, _REPLACED = ".moving_line-export-", "replaced"
# The largest difference allowed between the numbers of an export and of its model.
_TOLERANCE, _HALF_PRECISION_TOLERANCE = 1e-5, 0.02


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        path: path of the file or directory.
        largest_difference: largest difference between its numbers and the model's, over all samples and
            signatures; see `Exportable.difference`.
    """

    path: str
    largest_difference: float


def export_model(model_dir: str, output_dir: str, format_name: str) -> Exported:
    """Export the model of a run.

    Also writes ``export-FORMAT.json``, with the model's digest and the largest difference between export and
    model. Exports compute in float32: probabilities, and logarithms of them, may differ by 1e-5 from those of
    a float32 model, and by 0.02 from those of a model of half precision.

    Args:
        model_dir: the run directory of a finished training.
        output_dir: directory of the export, made if it does not exist; an older export of the same format is
            replaced.
        format_name: one of `EXPORT_FORMATS`.

    Raises:
        RequestError: if the request is wrong; nothing is changed.
        WorkError: if the model cannot be converted, or export and model disagree; nothing is changed.
    """
    kind = EXPORT_FORMATS[format_name]
    kind.check_installed()
    exportable = exportable_of(RunDirectory(model_dir))
    trained = exportable.trained
    path = os.path.join(output_dir, kind.name)
    if os.path.lexists(path) and not kind.is_export(path):
        raise RequestError(f"--output_dir {output_dir}: {path} is no export of this program; move it away")
    with _claimed(output_dir, path) as unfinished:
        made = os.path.join(unfinished, kind.name)
        try:
            kind.write(exportable, made)
            difference = _largest_difference(kind, made, exportable)
        except WorkError:
            raise
        except (OSError, tf.errors.OpError) as error:
            raise WorkError(f"{output_dir}: cannot be written ({_reason(error)})") from error
        except Exception as error:  # Keras, converters and runtimes raise errors of their own.
            reason = one_line(error)[:200]
            raise WorkError(
                f"--format {format_name}: the model cannot be converted ({reason}); try another format"
            ) from error
        # Negated, so that NaN fails too.
        if not difference <= (_HALF_PRECISION_TOLERANCE if exportable.is_half_precision else _TOLERANCE):
            raise WorkError(
                f"the {format_name} export differs from the model by up to {difference:g} over"
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
        **exportable.facts(),
        "versions": versions(),
    }
    save_json(os.path.join(output_dir, f"export-{format_name}.json"), document)
    return Exported(path, difference)


def _largest_difference(kind: ExportFormat, path: str, exportable: Exportable) -> float:
    """See `Exportable.difference`: of all requests."""
    answer = kind.answers(path, exportable)
    requests = exportable.requests(every_signature=kind.has_signatures)
    return float(np.max([exportable.difference(request, answer(request)) for request in requests]))


@contextmanager
def _claimed(output_dir: str, path: str) -> Iterator[str]:
    """Lock the output directory, made if it does not exist, and yield a temporary directory inside it.

    Temporary directories of killed exports are removed; an older export that one had moved away is moved
    back to ``path``. An output directory made here that is still empty after the block is removed again.

    Raises:
        RequestError: if the directory cannot be made or written to.
        WorkError: if another process has locked it.
    """
    is_new = not os.path.exists(output_dir)
    try:
        os.makedirs(output_dir, exist_ok=True)
        with locked(output_dir):
            for name in os.listdir(output_dir):
                left = os.path.join(output_dir, name)
                if name.startswith(_UNFINISHED_PREFIX) and os.path.isdir(left):
                    if os.path.isdir(os.path.join(left, _REPLACED)) and not os.path.exists(path):
                        os.rename(os.path.join(left, _REPLACED), path)
                    shutil.rmtree(left)
            unfinished = tempfile.mkdtemp(prefix=_UNFINISHED_PREFIX, dir=output_dir)
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
    """The error's message without names of temporary files and of operations."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
    return reason.rpartition("; ")[2].partition(" [Op:")[0]


def _put_in_place(made: str, path: str, replaced: str) -> None:
    """Rename an export to ``path``.

    A directory cannot replace another, so an existing one is first renamed to ``replaced``.
    """
    if not os.path.isdir(path):
        os.replace(made, path)
        return
    os.rename(path, replaced)
    try:
        os.rename(made, path)
    except OSError:
        os.rename(replaced, path)
        raise
