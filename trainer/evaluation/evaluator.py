"""Evaluates a trained model on held-out sequences: from a request to ``metrics.json``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from model import Observation
from pipeline.command_line.errors import RequestError
from pipeline.dataset.manifest import Manifest
from pipeline.storage.files import check_output
from trainer.command_line.flags import ON_CORRUPT
from trainer.distributed.device_errors import device_errors_explained
from trainer.evaluation import lineage
from trainer.evaluation.checks import Gate
from trainer.evaluation.document import SCHEMA_VERSION
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.scoring import Scorer
from trainer.evaluation.slices import Slicing, load_slicings
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.skip_damaged_records import open_split
from trainer.input.split_files import SplitFiles, read_manifest
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import file_sha256, save_json
from trainer.run.trained_model import TrainedModel, check_image_size, load_trained_model
from trainer.tasks.registry import check_trainable, task_of
from trainer.tasks.trainable_kind import trainable_kind


@dataclass(frozen=True)
class EvaluationRequest:
    """A validated request for an evaluation.

    Attributes:
        data_dir: directory of a finished data set.
        model_dir: the run directory of a training.
        split: name of the split to evaluate on.
        batch_size: number of sequences in a batch; changes results by float32 rounding only.
        flips: shares of pixels to flip, from 0 to 1; the model is also evaluated under each.
        seed: seed of the flipped pixels, from 0 to 2**32 - 1.
        on_corrupt: how to treat damaged records; see `trainer.input.skip_damaged_records.open_split`.
        slices: a Python file with more slicings; see `trainer.evaluation.slices`.
        checkpoint: a file of the run to evaluate instead of its ``model.keras``.

    Raises:
        RequestError: if a value is wrong, with its flag.
    """

    data_dir: str
    model_dir: str
    split: str = "test"
    batch_size: int = 64
    flips: tuple[float, ...] = ()
    seed: int = 0
    on_corrupt: str = "fail"
    slices: str | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is not None and not _is_below(self.checkpoint, self.model_dir):
            raise RequestError(
                f"--checkpoint {self.checkpoint}: does not lie in --model_dir {self.model_dir}"
            )
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise RequestError(f"--batch_size {self.batch_size}: give a whole number of at least 1")
        if self.on_corrupt not in ON_CORRUPT:
            raise RequestError(f"--on_corrupt {self.on_corrupt}: give one of {', '.join(ON_CORRUPT)}")
        for rate in self.flips:
            if not 0 <= rate <= 1:
                raise RequestError(f"--flips {rate:g}: give shares of pixels from 0 to 1")
        if len({f"{rate:g}" for rate in self.flips}) < len(self.flips):
            raise RequestError("--flips: gives a share twice")
        if type(self.seed) is not int or not 0 <= self.seed < 2**32:
            raise RequestError(f"--seed {self.seed}: give a whole number from 0 to {2**32 - 1}")

    def to_json(self) -> dict[str, Any]:
        """The part ``request`` of ``metrics.json``; with model and data set, all to repeat it."""
        slices = None
        if self.slices is not None:
            slices = {"path": os.path.abspath(self.slices), "sha256": file_sha256(self.slices)}
        return {
            "batch_size": self.batch_size,
            "flips": list(self.flips),
            "seed": self.seed,
            "on_corrupt": self.on_corrupt,
            "slices": slices,
        }


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        document: the document of ``metrics.json``.
        evidence: the answers that it was computed from.
    """

    document: dict[str, Any]
    evidence: Evidence


def _is_below(path: str, directory: str) -> bool:
    path, directory = os.path.abspath(path), os.path.abspath(directory)
    return os.path.commonpath([path, directory]) == directory


class Evaluator:
    """Evaluates models of one run on one split, which is opened once.

    Args:
        request: the request.
        files: the opened split.
        manifest: manifest of the data set.
        slicings: the slicings to count by, by name.
        gate: checks of the numbers.
        device: description of the device, for the document.

    Raises:
        RequestError: if the gate's baseline does not fit the request.
    """

    def __init__(
        self,
        request: EvaluationRequest,
        files: SplitFiles,
        manifest: Manifest,
        slicings: Mapping[str, Slicing],
        gate: Gate,
        device: str,
    ) -> None:
        self._request = request
        self._files = files
        self._slicings = slicings
        self._gate = gate
        self._device = device
        self._run = RunDirectory(request.model_dir)
        # Recorded now: sources and files may change during the evaluation.
        self._origin = {
            "request": request.to_json(),
            "code": lineage.code_part(),
            "dataset": lineage.dataset_part(request.data_dir, manifest, request.split, files.left_out),
        }
        gate.check_baseline(self._origin["dataset"], self._origin["request"])
        self._scorers: dict[float, Scorer] = {}

    @property
    def origin(self) -> dict[str, Any]:
        """The parts ``request``, ``code`` and ``dataset``, which are the same in all documents."""
        return dict(self._origin)

    @device_errors_explained()
    def evaluate(self, trained: TrainedModel, path: str) -> Evaluation:
        """Evaluate a model.

        Args:
            trained: the model.
            path: path of its file, for the document.

        Raises:
            WorkError: if a shard is damaged, the device fails or the answers are not finite.
        """
        request = self._request
        start = time.perf_counter()
        evidence = self._score(trained, 0, f"evaluating {request.split}")
        under_flips = {
            rate: self._score(trained, rate, f"evaluating {request.split}, {rate:g} of pixels flipped")
            if rate
            else evidence
            for rate in request.flips
        }
        seconds = time.perf_counter() - start
        passes = 1 + sum(rate > 0 for rate in request.flips)
        document = {
            "schema_version": SCHEMA_VERSION,
            "model": lineage.model_part(self._run, path, trained.sha256, trained.step),
            **self._origin,
            **task_of(self._files.spec).results(evidence, under_flips),
            "checks": [],
            "passed": None,
            "throughput": {
                "seconds": round(seconds, 3),
                "sequences_per_second": round(self._files.num_sequences * passes / seconds, 1),
                "device": self._device,
            },
            "environment": lineage.environment_part(),
        }
        if self._gate.checks:
            document["checks"] = self._gate.results(document)
            document["passed"] = all(row["passed"] for row in document["checks"])
        return Evaluation(document, evidence)

    def _score(self, trained: TrainedModel, flips: float, progress_label: str) -> Evidence:
        """Collect the answers to sequences as shown in training, with this share of pixels flipped too."""
        scorer = self._scorers.get(flips)
        if scorer is None:
            observation = replace(trained.observation, flips=flips, flip_seed=self._request.seed)
            scorer = Scorer(trained, self._files.spec, observation)
            self._scorers[flips] = scorer
        else:
            scorer.set_weights(trained.classifier)
        return scorer.score(self._files, self._request.batch_size, self._slicings, progress_label)


@contextmanager
def open_evaluator(
    request: EvaluationRequest, image_size: int, observation: Observation, gate: Gate, device: str
) -> Iterator[Evaluator]:
    """Open the split of a request and yield its evaluator.

    Args:
        request: the request.
        image_size: S of the models.
        observation: how sequences were shown to the models in training.
        gate: checks of the numbers.
        device: description of the device, for the document.

    Raises:
        RequestError: if data or checks do not fit the models, or the models were trained on this data.
        WorkError: if a shard is missing or has another size, with its name.
    """
    manifest = read_manifest(request.data_dir)
    spec = DatasetSpec.of(manifest)
    check_trainable(spec, request.data_dir)
    spec.check_split(request.split)
    check_image_size(image_size, trainable_kind(spec).image_size(spec))
    lineage.check_held_out(RunDirectory(request.model_dir), manifest, request.split)
    slicings = load_slicings(request.slices, trainable_kind(spec).slicings())
    names = task_of(spec).number_names(observation.window or image_size, slicings, request.flips)
    gate.check_names(names)
    with open_split(request.data_dir, manifest, request.split, request.on_corrupt) as files:
        yield Evaluator(request, files, manifest, slicings, gate, device)


def evaluate(
    request: EvaluationRequest,
    gate: Gate = Gate(),  # noqa: B008  # Frozen.
    device: str = "CPU",
) -> Evaluation:
    """Evaluate a model of a run.

    Args:
        request: the request.
        gate: checks of the numbers, whose results the document contains.
        device: description of the device, for the document.

    Raises:
        RequestError: if the request is wrong.
        WorkError: if the data is damaged or the device fails.
    """
    run = RunDirectory(request.model_dir)
    path = request.checkpoint or run.model_path
    trained = load_trained_model(run, path)
    with open_evaluator(request, trained.image_size, trained.observation, gate, device) as evaluator:
        return evaluator.evaluate(trained, path)


def evaluate_to_file(
    request: EvaluationRequest,
    output: str,
    gate: Gate = Gate(),  # noqa: B008  # Frozen.
    device: str = "CPU",
) -> Evaluation:
    """Evaluate a model of a run, as `evaluate`, and write ``metrics.json`` atomically to ``output``.

    Raises:
        RequestError: if the request is wrong.
        WorkError: if the data is damaged or the device fails.
    """
    check_output(output)
    evaluation = evaluate(request, gate, device)
    save_json(output, evaluation.document)
    return evaluation
