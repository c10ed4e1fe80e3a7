"""Judges a trained model on held-out sequences: from a request to ``metrics.json``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.files import check_output
from pipeline.program import RequestError
from trainer.datasets import SplitFiles, read_manifest
from trainer.evaluation import lineage
from trainer.evaluation.checks import Check, check_baseline, check_names
from trainer.evaluation.document import SCHEMA_VERSION, known_names, numbers, results
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.scoring import Scorer
from trainer.evaluation.slices import Slicing, load_slicings
from trainer.run_directory import RunDirectory, file_sha256, write_json
from trainer.salvage import open_split
from trainer.trained_model import TrainedModel, check_image_size, load_trained_model


@dataclass(frozen=True)
class EvaluationRequest:
    """What is judged, by what.

    Attributes:
        data_dir: a finished data set.
        model_dir: the run directory of a finished training.
        split: which split of the data set.
        batch_size: sequences a batch; has no influence on the results but for float32 rounding.
        noise: shares of pixels, from 0 to 1, to flip; the model is judged again under each.
        seed: which pixels, from 0 to 2**32 - 1.
        on_corrupt: what to do about damaged records; see `trainer.salvage.open_split`.
        slices: a Python file with more slicings; see `trainer.evaluation.slices`.

    Raises:
        RequestError: naming the flag that is wrong.
    """

    data_dir: str
    model_dir: str
    split: str = "test"
    batch_size: int = 128
    noise: tuple[float, ...] = ()
    seed: int = 0
    on_corrupt: str = "fail"
    slices: str | None = None

    def __post_init__(self) -> None:
        for rate in self.noise:
            if not 0 <= rate <= 1:
                raise RequestError(f"--noise {rate:g}: give shares of pixels from 0 to 1")
        if len({f"{rate:g}" for rate in self.noise}) < len(self.noise):
            raise RequestError("--noise: gives a share twice")
        if not 0 <= self.seed < 2**32:
            raise RequestError(f"--seed {self.seed}: give a whole number from 0 to {2**32 - 1}")

    def to_json(self) -> dict[str, Any]:
        """The part ``request`` of ``metrics.json``: with model and data, enough to do it again."""
        slices = None
        if self.slices is not None:
            slices = {"path": os.path.abspath(self.slices), "sha256": file_sha256(self.slices)}
        return {
            "batch_size": self.batch_size,
            "noise": list(self.noise),
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


def evaluate(
    request: EvaluationRequest,
    output: str,
    *,
    device: str = "CPU",
    checks: Sequence[Check] = (),
    baseline: Mapping[str, Any] | None = None,
) -> Judgement:
    """Judge and write ``metrics.json``.

    Args:
        request: what is judged.
        output: where the document goes; replaced only by a whole new one.
        device: what it runs on, for the document.
        checks: bounds; the document says which were kept.
        baseline: another document, for bounds on changes.

    Raises:
        RequestError: if the request is wrong; an older document is left as it is then.
        WorkError: if the data is damaged; likewise.
    """
    check_output(output)
    judgement = judge(request, device=device, checks=checks, baseline=baseline)
    write_json(output, judgement.document)
    return judgement


def judge(
    request: EvaluationRequest,
    *,
    device: str = "CPU",
    checks: Sequence[Check] = (),
    baseline: Mapping[str, Any] | None = None,
) -> Judgement:
    """As `evaluate`, but write nothing."""
    manifest = read_manifest(request.data_dir)
    run = RunDirectory(request.model_dir)
    trained = load_trained_model(run)
    check_image_size(trained, manifest.settings.image_size)
    lineage.check_held_out(run, manifest, request.split)
    slicings = load_slicings(request.slices)
    num_frames = trained.observation.window or trained.image_size
    check_names(checks, known_names(num_frames, trained.image_size, slicings, request.noise))
    content = manifest.splits[request.split].content_sha256
    check_baseline(checks, baseline, request.split, content)
    sha256 = file_sha256(run.model_path)
    with open_split(request.data_dir, manifest, request.split, request.on_corrupt) as files:
        start = time.perf_counter()
        evidence, under_noise = score_request(request, trained, files, slicings)
        seconds = time.perf_counter() - start
    passes = 1 + sum(rate > 0 for rate in request.noise)
    document = {
        "schema_version": SCHEMA_VERSION,
        "model": lineage.of_model(run, run.model_path, sha256, trained.step),
        "dataset": lineage.of_data(request.data_dir, manifest, request.split, files.left_out),
        "request": request.to_json(),
        "code": lineage.of_code(),
        **results(evidence, under_noise),
        "checks": [],
        "passed": None,
        "throughput": {
            "seconds": round(seconds, 3),
            "sequences_per_second": round(files.num_sequences * passes / seconds, 1),
            "device": device,
        },
        "environment": lineage.of_environment(),
    }
    if checks:
        values, before = numbers(document), numbers(baseline) if baseline is not None else {}
        document["checks"] = [check.result(values, before) for check in checks]
        document["passed"] = all(row["passed"] for row in document["checks"])
    return Judgement(document, evidence)


def score_request(
    request: EvaluationRequest, trained: TrainedModel, files: SplitFiles, slicings: Mapping[str, Slicing]
) -> tuple[Evidence, dict[float, Evidence]]:
    """The model's answers as it was trained to see the sequences, and with pixels flipped on top."""

    def score(flips: float, what: str) -> Evidence:
        observation = replace(trained.observation, flips=flips, flip_seed=request.seed)
        scorer = Scorer(trained, files.image_size, files.encoding, observation)
        return scorer.score(files, request.batch_size, slicings, what)

    evidence = score(0, f"evaluating {request.split}")
    under_noise = {
        rate: score(rate, f"evaluating {request.split}, {rate:g} of pixels flipped") if rate else evidence
        for rate in request.noise
    }
    return evidence, under_noise
