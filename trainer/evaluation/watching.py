"""The side-car: judges every checkpoint of a running training as it appears.

It works in ``evaluations/`` of the run directory, which the trainer leaves alone: ``evaluations.jsonl`` holds
a ``metrics.json`` a line, ``tensorboard/`` its numbers by step, ``best.keras`` and ``best.json`` the
checkpoint with the lowest loss and its metrics. Nothing is made there before the training has claimed the
directory. A checkpoint is copied before it is judged, so the trainer may delete it meanwhile; one that went
before it was copied is named and passed over.
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
from trainer.evaluation.document import numbers, of_this_version
from trainer.evaluation.judging import EvaluationRequest, Judge, opened_judge
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
from trainer.run.trained_model import NotFiniteError, load_trained_model, trained_observation
from trainer.training.checkpoints import copy_checkpoint
from trainer.training.tensorboard import remove_events_after

POLL_SECONDS = 1.0


def watch(request: EvaluationRequest, gate: Gate, device: str, patience: float | None) -> Mapping[str, Any]:
    """Judge checkpoints until the training is done.

    Started again, it goes on with those that were not judged yet.

    Args:
        request: what is judged, by what.
        gate: bounds; every line says which were kept.
        device: what it runs on, for the documents.
        patience: seconds to wait for a new checkpoint; None waits without end.

    Returns:
        The best checkpoint's document.

    Raises:
        RequestError: if the request is wrong.
        WorkError: if nothing new came in time, or the data is damaged.
    """
    run = RunDirectory(request.model_dir)
    read_manifest(request.data_dir)  # A wrong path should not come out when the training begins.
    arrivals = _Arrivals(run, patience)
    image_size = arrivals.wait_for_training()["image_size"]
    with opened_judge(request, image_size, trained_observation(run), gate, device) as judge:
        tf.io.gfile.makedirs(run.evaluations_path)
        with locked(run.evaluations_path):
            remove_temporary_files(run.evaluations_path)
            diary = _Diary(run, judge.origin)
            if (orphan := diary.best_without_document()) is not None:
                _judge_checkpoint(run, judge, diary, orphan)
            for path in arrivals.new_checkpoints(diary.steps):
                _judge_checkpoint(run, judge, diary, path)
    if diary.best is None:
        raise WorkError(f"{run.path}: the training ended, and no checkpoint could be judged")
    checks = gate.results(diary.best)  # Bounds may be others than when it was judged.
    return {
        **diary.best,
        "checks": checks,
        "passed": all(row["passed"] for row in checks) if checks else None,
    }


def _judge_checkpoint(run: RunDirectory, judge: Judge, diary: _Diary, path: str) -> None:
    try:
        with temporary_copy(path) as copy:
            trained = load_trained_model(run, copy)
            document = judge.judge(trained, path).document
            diary.add(document, copy)
    except (RequestError, NotFiniteError) as error:
        gone = isinstance(error, RequestError) and not tf.io.gfile.exists(path)
        reason = "was removed before it was judged" if gone else f"cannot be judged ({one_line(error)[:200]})"
        print(f"{os.path.basename(path)}: {reason}", file=sys.stderr)
        return
    metrics = document["metrics"]
    verdict = {True: ", checks passed", False: ", checks FAILED", None: ""}[document["passed"]]
    best = ", the best so far" if diary.best is document else ""
    step = document["model"]["step"]
    line = f"step {step}: accuracy {metrics['accuracy']:.6f}, loss {metrics['loss']:.6f}{verdict}{best}"
    print(line, flush=True)


class _Arrivals:
    """What appears in a run directory."""

    def __init__(self, run: RunDirectory, patience: float | None) -> None:
        self._run = run
        self._patience = patience
        self._last = time.monotonic()

    def wait_for_training(self) -> dict[str, Any]:
        """Wait until a training has claimed the directory; what its ``config.json`` says of the data."""
        if (data := self._run.training_data()) is None:
            print(f"waiting for a training in {self._run.path}", file=sys.stderr)
        while data is None:
            self._wait()
            data = self._run.training_data()
        return data

    def new_checkpoints(self, judged: set[int]) -> Iterator[str]:
        """Paths of checkpoints as they come, each once, until the training is done."""
        seen = set(judged)
        while True:
            is_done = tf.io.gfile.exists(self._run.model_path)  # Before the look at what came until then.
            found = sorted(self._run.checkpoints().items())
            new = [(step, path) for step, path in found if step not in seen]
            for step, path in new:
                seen.add(step)
                yield path
            if new:
                self._last = time.monotonic()
            elif is_done:
                # The model is a checkpoint too, and may have been missed as such.
                if load_trained_model(self._run).step not in judged:
                    yield self._run.model_path
                return
            else:
                self._wait()

    def _wait(self) -> None:
        if self._patience is not None and time.monotonic() - self._last > self._patience:
            raise WorkError(f"{self._run.path}: no new checkpoint in {self._patience:g} seconds")
        time.sleep(POLL_SECONDS)


class _Diary:
    """``evaluations/``: what was judged so far.

    Attributes:
        steps: that were judged.
        best: the document with the lowest loss; None if there is none.
    """

    def __init__(self, run: RunDirectory, origin: Mapping[str, Any]) -> None:
        directory = run.evaluations_path
        self._path = os.path.join(directory, "evaluations.jsonl")
        self._best_path = os.path.join(directory, "best.keras")
        self._best_document_path = os.path.join(directory, "best.json")
        self._lines = _whole_lines(self._path)
        try:
            documents = [of_this_version(json.loads(line)) for line in self._lines]
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
        """The best checkpoint, if a kill came between its two files, or between them and its line."""
        if not tf.io.gfile.exists(self._best_path):
            return None
        sha256 = file_sha256(self._best_path)
        has_line = self.best is not None and self.best["model"]["sha256"] == sha256
        has_document = tf.io.gfile.exists(self._best_document_path) and (
            json.loads(tf.io.gfile.GFile(self._best_document_path).read())["model"]["sha256"] == sha256
        )
        return None if has_line and has_document else self._best_path

    def add(self, document: dict[str, Any], checkpoint: str) -> None:
        """Take in a document and its checkpoint; the line comes last: what a kill cuts off is done again."""
        step = document["model"]["step"]
        if self.best is None or _loss(document) <= _loss(self.best):
            self.best = document
            copy_checkpoint(checkpoint, self._best_path)
            kept = {**document["model"], "path": absolute_path(self._best_path)}
            save_json(self._best_document_path, {**document, "model": kept})
        if step in self.steps:  # Judged again for the sake of the best's files.
            return
        with self._events.as_default(step):
            for name, value in numbers(document).items():
                if value is not None and not name.startswith("accuracy_by_frame."):
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
