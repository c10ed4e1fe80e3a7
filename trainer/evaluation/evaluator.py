"""Evaluates a trained model on held-out sequences: from a request to ``metrics.json``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from pipeline.command_line.errors import RequestError
from pipeline.dataset.manifest import Manifest
from pipeline.storage.files import check_output
from trainer.command_line.flags import ON_CORRUPT
from trainer.distributed.device_errors import device_errors_explained
from trainer.evaluation import lineage
from trainer.evaluation.checks import Gate
from trainer.evaluation.document import SCHEMA_VERSION
from trainer.evaluation.slices import load_slicings
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.skip_damaged_records import open_split
from trainer.input.split_files import SplitFiles, read_manifest
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import file_sha256, save_json
from trainer.run.trained_model import TrainedModel, load_trained_model
from trainer.tasks.judging import Judge, JudgingRequest
from trainer.tasks.trainable_kind import trainable_kind
from trainer.training.settings import CLASSIFY, TrainingSettings

_OF_CLIPS = ("views", "crops", "single_frame", "beam", "length_penalty")


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
        views, crops, single_frame, beam, length_penalty: see `trainer.tasks.judging.JudgingRequest`.
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
    views: int | None = None
    crops: int | None = None
    single_frame: bool = False
    beam: int | None = None
    length_penalty: float | None = None
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
        for name in ("views", "crops"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise RequestError(f"--{name} {value}: give a whole number of at least 1")
        if self.on_corrupt not in ON_CORRUPT:
            raise RequestError(f"--on_corrupt {self.on_corrupt}: give one of {', '.join(ON_CORRUPT)}")
        for rate in self.flips:
            if not 0 <= rate <= 1:
                raise RequestError(f"--flips {rate:g}: give shares of pixels from 0 to 1")
        if len({f"{rate:g}" for rate in self.flips}) < len(self.flips):
            raise RequestError("--flips: gives a share twice")
        if type(self.seed) is not int or not 0 <= self.seed < 2**32:
            raise RequestError(f"--seed {self.seed}: give a whole number from 0 to {2**32 - 1}")

    @property
    def judging(self) -> JudgingRequest:
        """What is asked of the kind of data set."""
        names = (each.name for each in fields(JudgingRequest))
        return JudgingRequest(**{name: getattr(self, name) for name in names})

    def to_json(self) -> dict[str, Any]:
        """The part ``request`` of ``metrics.json``; with model and data set, all to repeat it."""
        slices = None
        if self.slices is not None:
            slices = {"path": os.path.abspath(self.slices), "sha256": file_sha256(self.slices)}
        return {
            "batch_size": self.batch_size,
            "flips": list(self.flips),
            "seed": self.seed,
            **{name: getattr(self, name) for name in self.judging.given(_OF_CLIPS)},
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
    evidence: Any


def _is_below(path: str, directory: str) -> bool:
    path, directory = os.path.abspath(path), os.path.abspath(directory)
    return os.path.commonpath([path, directory]) == directory


class Evaluator:
    """Evaluates models of one run on one split, which is opened once.

    Args:
        request: the request.
        files: the opened split.
        manifest: manifest of the data set.
        judge: judges the models on the split.
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
        judge: Judge,
        gate: Gate,
        device: str,
    ) -> None:
        self._request = request
        self._files = files
        self._judge = judge
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
        start = time.perf_counter()
        judgement = self._judge.judge(trained)
        seconds = time.perf_counter() - start
        num_sequences = self._files.num_sequences * judgement.passes
        document = {
            "schema_version": SCHEMA_VERSION,
            "model": lineage.model_part(self._run, path, trained.sha256, trained.step),
            **self._origin,
            **judgement.results,
            "checks": [],
            "passed": None,
            "throughput": {
                "seconds": round(seconds, 3),
                "sequences_per_second": round(num_sequences / seconds, 1),
                "device": self._device,
            },
            "environment": lineage.environment_part(),
        }
        if self._gate.checks:
            document["checks"] = self._gate.results(document)
            document["passed"] = all(row["passed"] for row in document["checks"])
        return Evaluation(document, judgement.evidence)


@contextmanager
def open_evaluator(
    request: EvaluationRequest,
    settings: TrainingSettings,
    trained_on: Mapping[str, Any],
    gate: Gate,
    device: str,
) -> Iterator[Evaluator]:
    """Open the split of a request and yield its evaluator.

    Args:
        request: the request.
        settings: of the models' training.
        trained_on: what ``config.json`` says of the training's data set.
        gate: checks of the numbers.
        device: description of the device, for the document.

    Raises:
        RequestError: if data or checks do not fit the models, or the models were trained on this data.
        WorkError: if a shard is missing or has another size, with its name.
    """
    manifest = read_manifest(request.data_dir)
    spec = DatasetSpec.of(manifest)
    kind = trainable_kind(spec, settings.task or CLASSIFY)
    kind.check_trainable(spec, request.data_dir)
    spec.check_split(request.split)
    kind.check_fits(trained_on, spec)
    lineage.check_held_out(RunDirectory(request.model_dir), kind, manifest, request.split)
    slicings = load_slicings(request.slices, kind.slicings(settings, spec))
    with open_split(request.data_dir, manifest, request.split, request.on_corrupt) as files:
        judge = kind.judge(settings, files, request.judging, slicings)
        if gate.checks:  # Without checks, no split is read for names of words in captions.
            gate.check_names(judge.number_names())
        yield Evaluator(request, files, manifest, judge, gate, device)


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
    trained_on = run.training_data() or {"image_size": trained.image_size}
    with open_evaluator(request, trained.settings, trained_on, gate, device) as evaluator:
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
