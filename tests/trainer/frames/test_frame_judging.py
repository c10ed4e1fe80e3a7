"""Judging classifiers of frames: exact over every record, again, and beside a training."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, log_loss

from tests.conftest import ROOT
from tests.trainer.frames import data_sets
from trainer.evaluate import main
from trainer.input.batches import sequential_batches
from trainer.input.frame_view import FrameView
from trainer.input.split_files import read_manifest, split_files
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model

SCHEMA = json.loads((ROOT / "docs" / "metrics.schema.json").read_text())
SLICES = """
from trainer.evaluation.slices import slicing

@slicing("first_letter", "c", "other")
def first_letter(examples, labels):
    return (examples["clip"].astype("U1") != "c").astype(int)
"""


def _judged(output: Path, *flags: str) -> dict[str, Any]:
    assert main([*flags, f"--output={output}"]) == 0
    document: dict[str, Any] = json.loads(output.read_text())
    jsonschema.validate(document, SCHEMA)
    return document


def _answers(data: Path, run: Path, views: list[FrameView]) -> tuple[np.ndarray, np.ndarray]:
    """Means of the probabilities over views, and labels, a record at a time."""
    model = load_trained_model(RunDirectory(str(run))).classifier
    files = split_files(str(data), read_manifest(str(data)), "test")
    means: list[list[np.ndarray]] = []
    labels: list[int] = []
    for view in views:
        rows, labels = [], []
        for features, label in sequential_batches(files.shown(view), batch_size=1).as_numpy_iterator():
            rows.append(np.asarray(model(features))[0])
            labels.append(int(label[0, 0]))
        means.append(rows)
    return np.mean(means, axis=0), np.array(labels)


@pytest.mark.parametrize(
    ("views", "crops", "size"), [(1, 1, 7), pytest.param(3, 2, 64, marks=pytest.mark.slow)]
)
def test_metrics_are_those_of_every_record(
    tmp_path: Path, balls_dir: Path, balls_run: Path, views: int, crops: int, size: int
) -> None:
    flags = [f"--data_dir={balls_dir}", f"--model_dir={balls_run}", f"--batch_size={size}"]
    document = _judged(tmp_path / "m.json", *flags, f"--views={views}", f"--crops={crops}")
    seen = FrameView(10, crop=(20, 28))
    expected, labels = _answers(
        balls_dir, balls_run, [seen.judged(number, views, crops) for number in range(views * crops)]
    )
    metrics = document["metrics"]
    assert document["views"] == views * crops
    assert document["classes"] == ["red", "green", "blue"]
    assert metrics["accuracy"] == accuracy_score(labels, expected.argmax(1))
    assert metrics["loss"] == pytest.approx(log_loss(labels, expected.astype(np.float64)), abs=1e-6)
    assert document["dataset"]["num_sequences"] == len(labels) == 60


def test_one_frame_is_judged_beside_the_clip(tmp_path: Path, balls_dir: Path, balls_run: Path) -> None:
    flags = [f"--data_dir={balls_dir}", f"--model_dir={balls_run}", "--single_frame"]
    document = _judged(tmp_path / "m.json", *flags)
    expected, labels = _answers(balls_dir, balls_run, [FrameView(10, crop=(20, 28), is_single=True)])
    assert document["baselines"]["single_frame"]["accuracy"] == accuracy_score(labels, expected.argmax(1))
    counts = np.bincount(labels)
    assert document["baselines"]["majority_class"]["accuracy"] == counts.max() / counts.sum()


def test_segments_of_a_clip_are_judged_together(tmp_path: Path, clips_run: Path) -> None:
    data = data_sets.clips(tmp_path / "d", splits="10,10,80")
    slices = tmp_path / "slices.py"
    slices.write_text(SLICES)
    flags = [f"--data_dir={data}", f"--model_dir={clips_run}", f"--slices={slices}"]
    document = _judged(tmp_path / "m.json", *flags, f"--plots={tmp_path / 'report'}")
    records = document["dataset"]["num_sequences"]
    read = read_manifest(str(data)).splits["test"].statistics
    assert records == sum(read["records"].values())
    assert document["clip_level"]["num_clips"] == sum(read["clips"].values())
    letters = document["slices"]["first_letter"]
    assert letters["c"]["num_sequences"] == sum(document["metrics"]["confusion_matrix"][0])
    assert letters["other"]["num_sequences"] == sum(map(sum, document["metrics"]["confusion_matrix"][1:]))
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "report" / "worst.png").exists()


def test_again_every_number_is_the_same(
    tmp_path: Path, balls_dir: Path, balls_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [
        f"--data_dir={balls_dir}",
        f"--model_dir={balls_run}",
        "--single_frame",
        "--views=2",
        "--crops=2",
    ]
    _judged(tmp_path / "m.json", *flags)
    assert main([f"--reproduce={tmp_path / 'm.json'}"]) == 0
    assert "same: every number" in capsys.readouterr().out


def test_checks_name_classes(
    tmp_path: Path, balls_dir: Path, balls_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checks.yaml").write_text("per_class.red.recall: {min: 0}\nclip_level.accuracy: {min: 1.5}\n")
    flags = [f"--data_dir={balls_dir}", f"--model_dir={balls_run}", f"--checks={tmp_path / 'checks.yaml'}"]
    assert main([*flags, f"--output={tmp_path / 'm.json'}"]) == 1
    assert "1 of 2 checks passed" in capsys.readouterr().out


def test_every_checkpoint_is_judged_beside_a_training(
    tmp_path: Path, balls_dir: Path, balls_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluations = balls_run / "evaluations"
    assert main([f"--data_dir={balls_dir}", f"--model_dir={balls_run}", "--watch"]) == 0
    lines = (evaluations / "evaluations.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    assert [each["model"]["step"] for each in documents] == [5, 10, 12, 15, 20, 24]
    best = min(documents, key=lambda each: float(each["metrics"]["loss"]))
    assert json.loads((evaluations / "best.json").read_text())["model"]["step"] == best["model"]["step"]
    (events,) = (evaluations / "tensorboard").glob("*tfevents*")
    tags = {
        value.tag
        for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator()
        for value in tf.compat.v1.Event.FromString(record).summary.value
    }
    assert {"accuracy", "per_class.red.recall", "clip_level.accuracy"} <= tags
    assert not any(tag.startswith("confusion_matrix") for tag in tags)


def test_damaged_records_are_left_out_and_counted(tmp_path: Path, balls_run: Path) -> None:
    data = data_sets.balls(tmp_path / "d")
    (shard, *_) = sorted(data.glob("*-test.tfrecord-*-of-*"))
    content = bytearray(shard.read_bytes())
    content[60] ^= 1
    shard.write_bytes(bytes(content))
    flags = [f"--data_dir={data}", f"--model_dir={balls_run}", "--on_corrupt=skip"]
    document = _judged(tmp_path / "m.json", *flags)
    assert document["dataset"]["num_sequences"] == 59
    assert document["dataset"]["left_out"]["num_sequences"] == 1
    assert 0 not in {row["number"] for row in document["worst"]}
