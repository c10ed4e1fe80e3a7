"""Evaluates each checkpoint of a running training as it appears.

Writes into ``evaluations/`` of the run directory, which the training does not touch: ``evaluations.jsonl``
has the document of a ``metrics.json`` per line, ``tensorboard/`` its numbers by step, ``best.keras`` and
``best.json`` the checkpoint with the lowest loss and its document. The directory is made only after the
training has written ``config.json``. A checkpoint is copied before it is evaluated, because the training may
delete it; one deleted before the copy is reported and skipped.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.storage.directory_lock import locked
from trainer.evaluation.checks import Gate
from trainer.evaluation.document import named_numbers, upgrade_document
from trainer.evaluation.evaluator import EvaluationRequest, Evaluator, open_evaluator
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.split_files import read_manifest
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import (
    absolute_path,
    file_sha256,
    remove_temporary_files,
    save_bytes,
    save_json,
    temporary_copy,
)
from trainer.run.trained_model import NotFiniteError, load_trained_model, trained_settings
from trainer.training.checkpoints import copy_checkpoint
from trainer.training.tensorboard import remove_events_after

POLL_SECONDS = 1.0

# Numbers that TensorBoard does not show: too many, or the same as others.
_LEFT_OUT = ("accuracy_by_frame.",)
_LEFT_OUT_OF_N_CLASSES = ("accuracy_by_share.", "confusion_matrix.", "slices.class.")
_LEFT_OUT_OF_CAPTIONS = ("slices.class.", "slices.word.")


def watch(request: EvaluationRequest, gate: Gate, device: str, patience: float | None) -> Mapping[str, Any]:
    """Evaluate checkpoints until the training has finished.

    A second call goes on with the checkpoints that are not evaluated yet.

    Args:
        request: the request; its ``checkpoint`` is ignored.
        gate: checks of the numbers, whose results each document contains.
        device: description of the device, for the documents.
        patience: seconds to wait for a new checkpoint; None waits without limit.

    Returns:
        The document of the best checkpoint.

    Raises:
        RequestError: if the request is wrong.
        WorkError: if no new checkpoint appears in time, or the data is damaged.
    """
    run = RunDirectory(request.model_dir)
    # Fail now, not when the training starts, if the path or the split is wrong.
    DatasetSpec.of(read_manifest(request.data_dir)).check_split(request.split)
    new = _NewCheckpoints(run, patience)
    trained_on = new.wait_for_training()
    with open_evaluator(request, trained_settings(run), trained_on, gate, device) as evaluator:
        tf.io.gfile.makedirs(run.evaluations_path)
        with locked(run.evaluations_path):
            remove_temporary_files(run.evaluations_path)
            log = _EvaluationLog(run, evaluator.origin)
            if (incomplete := log.best_without_document()) is not None:
                _evaluate_checkpoint(run, evaluator, log, incomplete)
            for path in new.paths(log.steps):
                _evaluate_checkpoint(run, evaluator, log, path)
    if log.best is None:
        raise WorkError(f"{run.path}: the training ended, and no checkpoint could be judged")
    checks = gate.results(log.best)  # Again: the bounds may have changed since.
    return {
        **log.best,
        "checks": checks,
        "passed": all(row["passed"] for row in checks) if checks else None,
    }


def _evaluate_checkpoint(run: RunDirectory, evaluator: Evaluator, log: _EvaluationLog, path: str) -> None:
    try:
        with temporary_copy(path) as copy:
            trained = load_trained_model(run, copy)
            document = evaluator.evaluate(trained, path).document
            log.add(document, copy)
    except (RequestError, NotFiniteError) as error:
        gone = isinstance(error, RequestError) and not tf.io.gfile.exists(path)
        reason = "was removed before it was judged" if gone else f"cannot be judged ({one_line(error)[:200]})"
        print(f"{os.path.basename(path)}: {reason}", file=sys.stderr)
        return
    metrics = document["metrics"]
    verdict = {True: ", checks passed", False: ", checks FAILED", None: ""}[document["passed"]]
    best = ", the best so far" if log.best is document else ""
    step = document["model"]["step"]
    name = "exact_match" if "captions" in document else "accuracy"
    line = f"step {step}: {name} {metrics[name]:.6f}, loss {metrics['loss']:.6f}{verdict}{best}"
    print(line, flush=True)


class _NewCheckpoints:
    """Waits for checkpoints in a run directory, each for at most ``patience`` seconds."""

    def __init__(self, run: RunDirectory, patience: float | None) -> None:
        self._run = run
        self._patience = patience
        self._last = time.monotonic()

    def wait_for_training(self) -> dict[str, Any]:
        """Wait until there is a ``config.json``; return its description of the data set."""
        if (data := self._run.training_data()) is None:
            print(f"waiting for a training in {self._run.path}", file=sys.stderr)
        while data is None:
            self._wait()
            data = self._run.training_data()
        return data

    def paths(self, evaluated: set[int]) -> Iterator[str]:
        """Yield the path of each checkpoint once, as it appears, until the training has finished.

        Args:
            evaluated: steps to leave out; the caller may add to it.
        """
        seen = set(evaluated)
        while True:
            # Before the listing, so that no checkpoint is missed.
            is_done = tf.io.gfile.exists(self._run.model_path)
            found = sorted(self._run.checkpoints().items())
            new = [(step, path) for step, path in found if step not in seen]
            for step, path in new:
                seen.add(step)
                yield path
            if new:
                self._last = time.monotonic()
            elif is_done:
                # The final model's checkpoint may have been deleted before it was listed.
                if load_trained_model(self._run).step not in evaluated:
                    yield self._run.model_path
                return
            else:
                self._wait()

    def _wait(self) -> None:
        if self._patience is not None and time.monotonic() - self._last > self._patience:
            raise WorkError(f"{self._run.path}: no new checkpoint in {self._patience:g} seconds")
        time.sleep(POLL_SECONDS)


class _EvaluationLog:
    """The directory ``evaluations/`` with all evaluations so far.

    Attributes:
        steps: steps of the evaluated checkpoints.
        best: the document with the lowest loss; None if there is none.
    """

    def __init__(self, run: RunDirectory, origin: Mapping[str, Any]) -> None:
        directory = run.evaluations_path
        self._path = os.path.join(directory, "evaluations.jsonl")
        self._best_path = os.path.join(directory, "best.keras")
        self._best_document_path = os.path.join(directory, "best.json")
        self._lines = _whole_lines(self._path)
        try:
            documents = [upgrade_document(json.loads(line)) for line in self._lines]
            config = file_sha256(run.config_path)
            if any(document["model"]["config_sha256"] != config for document in documents):
                raise RequestError(f"{directory}: is of another training; remove it")
            for name in ("dataset", "request"):
                if any(document[name] != origin[name] for document in documents):
                    raise RequestError(
                        f"{directory}: was judged by another {name}; remove it, or ask for the same"
                    )
            self.steps = {document["model"]["step"] for document in documents}
            self.best: dict[str, Any] | None = min(documents, key=_loss, default=None)
        except (json.JSONDecodeError, LookupError, TypeError, AttributeError) as error:
            raise RequestError(f"{self._path}: is damaged; remove {directory}") from error
        events = os.path.join(directory, "tensorboard")
        remove_events_after(events, max(self.steps, default=-1))
        self._events = tf.summary.create_file_writer(events)

    def best_without_document(self) -> str | None:
        """Path of ``best.keras`` if a kill has left it without its document or its line; else None."""
        if not tf.io.gfile.exists(self._best_path):
            return None
        sha256 = file_sha256(self._best_path)
        has_line = self.best is not None and self.best["model"]["sha256"] == sha256
        has_document = tf.io.gfile.exists(self._best_document_path) and (
            json.loads(tf.io.gfile.GFile(self._best_document_path).read())["model"]["sha256"] == sha256
        )
        return None if has_line and has_document else self._best_path

    def add(self, document: dict[str, Any], checkpoint: str) -> None:
        """Add a document and its checkpoint. The line is written last: after a kill all is written again."""
        step = document["model"]["step"]
        if self.best is None or _loss(document) <= _loss(self.best):
            self.best = document
            copy_checkpoint(checkpoint, self._best_path)
            kept = {**document["model"], "path": absolute_path(self._best_path)}
            save_json(self._best_document_path, {**document, "model": kept})
        if step in self.steps:  # Evaluated again, for the files of the best only.
            return
        left_out: tuple[str, ...] = _LEFT_OUT_OF_N_CLASSES if "classes" in document else _LEFT_OUT
        if "captions" in document:
            left_out = _LEFT_OUT_OF_CAPTIONS
        with self._events.as_default(step):
            for name, value in named_numbers(document).items():
                if value is not None and not name.startswith(left_out):
                    tf.summary.scalar(name.replace(" ", "_"), value)
        self._events.flush()
        self._lines.append(json.dumps(document, allow_nan=False))
        save_bytes(self._path, "".join(f"{line}\n" for line in self._lines).encode())
        self.steps.add(step)


def _whole_lines(path: str) -> list[str]:
    if not tf.io.gfile.exists(path):
        return []
    return [line for line in tf.io.gfile.GFile(path).read().split("\n") if line]


def _loss(document: dict[str, Any]) -> float:
    return float(document["metrics"]["loss"])
