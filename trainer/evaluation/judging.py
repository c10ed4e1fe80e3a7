"""Judges a trained model on held-out sequences: from a request to ``metrics.json``."""

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
from pipeline.dataset.shard_plan import SPLITS
from pipeline.storage.files import check_output
from trainer.command_line.flags import ON_CORRUPT
from trainer.distributed.device_errors import device_errors_explained
from trainer.evaluation import lineage
from trainer.evaluation.checks import Gate
from trainer.evaluation.document import SCHEMA_VERSION, known_names, results
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.scoring import Scorer
from trainer.evaluation.slices import Slicing, load_slicings
from trainer.input.salvage import open_split
from trainer.input.split_files import SplitFiles, read_manifest
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import file_sha256, save_json
from trainer.run.trained_model import TrainedModel, check_image_size, load_trained_model


@dataclass(frozen=True)
class EvaluationRequest:
    """What is judged, by what.

    Attributes:
        data_dir: a finished data set.
        model_dir: the run directory of a finished training.
        split: which split of the data set.
        batch_size: sequences a batch; has no influence on the results but for float32 rounding.
        flips: shares of pixels, from 0 to 1, to flip; the model is judged again under each.
        seed: which pixels, from 0 to 2**32 - 1.
        on_corrupt: what to do about damaged records; see `trainer.input.salvage.open_split`.
        slices: a Python file with more slicings; see `trainer.evaluation.slices`.
        checkpoint: a file of the run to judge instead of its ``model.keras``.

    Raises:
        RequestError: naming the flag that is wrong.
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
        if self.split not in SPLITS:
            raise RequestError(f"--split {self.split}: give one of {', '.join(SPLITS)}")
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
        """The part ``request`` of ``metrics.json``: with model and data, enough to do it again."""
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
class Judgement:
    """A judgement.

    Attributes:
        document: what ``metrics.json`` says.
        evidence: the answers that it follows from.
    """

    document: dict[str, Any]
    evidence: Evidence


def _is_below(path: str, directory: str) -> bool:
    path, directory = os.path.abspath(path), os.path.abspath(directory)
    return os.path.commonpath([path, directory]) == directory


class Judge:
    """Judges models of one run by one split, which is opened and prepared once.

    Args:
        request: what is judged, by what.
        files: the split, opened.
        manifest: of its data set.
        slicings: by which to count.
        gate: bounds to hold the numbers against.
        device: what it runs on, for the document.
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
        # Of now, and not of when the work is done.
        self._origin = {"request": request.to_json(), "code": lineage.of_code()}
        self._origin["dataset"] = lineage.of_data(request.data_dir, manifest, request.split, files.left_out)
        gate.check_baseline(self._origin["dataset"], self._origin["request"])
        self._scorers: dict[float, Scorer] = {}

    @property
    def origin(self) -> dict[str, Any]:
        """What all documents of this judge have in common: their parts request, code and dataset."""
        return dict(self._origin)

    @device_errors_explained()
    def judge(self, trained: TrainedModel, path: str) -> Judgement:
        """Judge a model.

        Args:
            trained: the model.
            path: of its file, for the document.

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
            "model": lineage.of_model(self._run, path, trained.sha256, trained.step),
            **self._origin,
            **results(evidence, under_flips),
            "checks": [],
            "passed": None,
            "throughput": {
                "seconds": round(seconds, 3),
                "sequences_per_second": round(self._files.num_sequences * passes / seconds, 1),
                "device": self._device,
            },
            "environment": lineage.of_environment(),
        }
        if self._gate.checks:
            document["checks"] = self._gate.results(document)
            document["passed"] = all(row["passed"] for row in document["checks"])
        return Judgement(document, evidence)

    def _score(self, trained: TrainedModel, flips: float, what: str) -> Evidence:
        """Answers to sequences as the model was trained to see them, with pixels flipped on top."""
        scorer = self._scorers.get(flips)
        if scorer is None:
            observation = replace(trained.observation, flips=flips, flip_seed=self._request.seed)
            scorer = Scorer(trained, self._files.image_size, self._files.encoding, observation)
            self._scorers[flips] = scorer
        else:
            scorer.take_weights(trained.classifier)
        return scorer.score(self._files, self._request.batch_size, self._slicings, what)


@contextmanager
def opened_judge(
    request: EvaluationRequest, image_size: int, observation: Observation, gate: Gate, device: str
) -> Iterator[Judge]:
    """A judge, for as long as the block lasts, of models that were trained to see sequences so.

    Raises:
        RequestError: if data or checks do not fit the models, or the data is what they were trained on.
        WorkError: naming a shard that is missing or of another size.
    """
    manifest = read_manifest(request.data_dir)
    check_image_size(image_size, manifest.settings.image_size)
    lineage.check_held_out(RunDirectory(request.model_dir), manifest, request.split)
    slicings = load_slicings(request.slices)
    names = known_names(observation.window or image_size, image_size, slicings, request.flips)
    gate.check_names(names)
    with open_split(request.data_dir, manifest, request.split, request.on_corrupt) as files:
        yield Judge(request, files, manifest, slicings, gate, device)


def judge(request: EvaluationRequest, gate: Gate = Gate(), device: str = "CPU") -> Judgement:  # noqa: B008
    """Judge the model of a run.

    Args:
        request: what is judged.
        gate: bounds to hold the numbers against; the document says which were kept.
        device: what it runs on, for the document.

    Raises:
        RequestError: if the request is wrong.
        WorkError: if the data is damaged or the device fails.
    """
    run = RunDirectory(request.model_dir)
    path = request.checkpoint or run.model_path
    trained = load_trained_model(run, path)
    with opened_judge(request, trained.image_size, trained.observation, gate, device) as opened:
        return opened.judge(trained, path)


def evaluate(
    request: EvaluationRequest,
    output: str,
    gate: Gate = Gate(),  # noqa: B008  # Frozen.
    device: str = "CPU",
) -> Judgement:
    """Judge the model of a run and write ``metrics.json``, which is replaced only by a whole new one.

    Raises:
        RequestError: if the request is wrong.
        WorkError: if the data is damaged or the device fails.
    """
    check_output(output)
    judgement = judge(request, gate, device)
    save_json(output, judgement.document)
    return judgement
