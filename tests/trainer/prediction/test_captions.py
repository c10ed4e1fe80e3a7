"""Predicting the captions of clips: of files, arrays and TFRecords, and of a data set."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from PIL import Image

from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from tests.trainer.clip_runs import Run
from tests.trainer.scenes_kind import Scenes
from trainer.predict import main

Lines = list[dict[str, Any]]


def _answers(run: Run, directory: Path, *arguments: str | Path) -> Lines:
    """What the program writes as JSON lines."""
    output = directory / "answers.jsonl"
    flags = [f"--model_dir={run.directory}", f"--output={output}", "--input", *map(str, arguments)]
    assert main(flags) == 0
    return [json.loads(line) for line in output.read_text().splitlines()]


def _shards(data: Path, split: str) -> list[Path]:
    return [data / shard.file for shard in Dataset.open(str(data)).manifest.splits[split].shards]


def _examples(run: Run) -> list[Any]:
    """The examples of `Run.records`, the first of which are the training split's."""
    definition = Dataset.open(str(run.data)).manifest.definition
    return [definition.decode(record) for record in run.records]


def _check_same(lines: Lines, run: Run) -> None:
    """Captions and log-probabilities are those that the Keras model gives by whole calls."""
    _, captions, scores = run.write(**run.windows)
    count = len(lines)
    assert [line["caption"] for line in lines] == captions[:count]
    np.testing.assert_allclose([line["log_probability"] for line in lines], scores[:count], atol=1e-4)
    assert len(set(captions[:count])) > 1


def test_files_and_records_get_the_captions_of_the_model(
    tmp_path: Path, described: Run, described_source: Path
) -> None:
    examples = _examples(described)
    num_train = Dataset.open(str(described.data)).num_sequences("train")
    of_records = _answers(described, tmp_path, *_shards(described.data, "train"))
    assert len(of_records) == num_train
    _check_same(of_records, described)
    of_files = _answers(
        described, tmp_path, *(described_source.parent / each["clip"] for each in examples[:num_train])
    )
    for line, of_file, example in zip(of_records, of_files, examples[:num_train], strict=True):
        assert list(line) == ["file", "index", "start", "end", "caption", "log_probability", "expected"]
        assert line["expected"] == list(example["caption"])
        assert list(of_file) == ["file", "start", "end", "caption", "log_probability"]
        same = {name: of_file[name] for name in ("start", "end", "caption", "log_probability")}
        assert same == {name: line[name] for name in same}
    assert {len(line["expected"]) for line in of_records} == {1, 2}


def test_csv_joins_captions(tmp_path: Path, described: Run) -> None:
    shards = list(map(str, _shards(described.data, "test")))
    lines = _answers(described, tmp_path, *shards)
    output = tmp_path / "answers.csv"
    assert main([f"--model_dir={described.directory}", f"--output={output}", "--input", *shards]) == 0
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    assert rows == [
        {**{name: str(value) for name, value in line.items()}, "expected": " | ".join(line["expected"])}
        for line in lines
    ]


def test_windows_slide_over_clips_and_arrays(tmp_path: Path, described: Run, described_source: Path) -> None:
    path = described_source / "run" / "3.mp4"
    of_file = _answers(described, tmp_path, path, "--stride=4")
    assert len(of_file) > 2
    assert of_file[1]["start"] == pytest.approx(4 / 12, abs=1e-6)
    frames = described.windows["frames"]
    whole = np.random.default_rng(0).integers(0, 256, (2, 9, 24, 32, 3), np.uint8)
    np.save(tmp_path / "a.npy", whole)
    lines = _answers(described, tmp_path, tmp_path / "a.npy", "--stride=4", "--batch_size=3")
    assert [line["index"] for line in lines] == [0, 0, 1, 1]
    shown = np.stack([clip[first : first + 5, 6:18, 6:26] for clip in whole for first in (0, 4)])
    assert shown.shape[1:] == frames.shape[1:]
    _, captions, scores = described.write(shown)
    assert [line["caption"] for line in lines] == captions
    np.testing.assert_allclose([line["log_probability"] for line in lines], scores, atol=1e-4)


def test_a_beam_finds_more_probable_captions(tmp_path: Path, described: Run) -> None:
    shards = _shards(described.data, "train")
    greedy, wide, long = (
        _answers(described, tmp_path, *shards, *flags)
        for flags in ([], ["--beam=100", "--length_penalty=0"], ["--beam=100", "--length_penalty=10"])
    )
    gains = [w["log_probability"] - g["log_probability"] for w, g in zip(wide, greedy, strict=True)]
    assert min(gains) > -1e-5
    assert max(gains) > 0.1
    num_words = [sum(len(line["caption"].split()) for line in lines) for lines in (wide, long)]
    assert num_words[0] < num_words[1]


def test_a_kind_of_ones_own_has_one_text(
    tmp_path: Path, make_described: Callable[[str], Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_described("titles")
    lines = _answers(run, tmp_path, *_shards(run.data, "test"))
    expected = [example["caption"] for example in _examples(run)[12:]]
    assert [line["expected"] for line in lines[:12]] == [[text] for text in expected]
    capsys.readouterr()
    assert main([f"--model_dir={run.directory}", f"--data_dir={run.data}", "--num_sequences=12"]) == 0
    verdicts = capsys.readouterr().out.splitlines()
    for verdict, line in zip(verdicts, lines, strict=False):
        told = f"{line['caption'] or '(no words)'} (log-probability {line['log_probability']:.4f})"
        assert verdict == f"Expected: {line['expected'][0]}, Predicted: {told}"
    assert any("(no words)" in verdict for verdict in verdicts)


def test_records_need_no_captions(tmp_path: Path, make_described: Callable[[str], Run]) -> None:
    """Frames of the same shape and other classes, which do not matter."""
    run = make_described("titles")
    generate(Scenes(num_train=9), str(tmp_path / "data"), direct_num_workers=1)
    lines = _answers(run, tmp_path, *_shards(tmp_path / "data", "train"))
    assert len(lines) == 9
    assert "expected" not in lines[0]


@pytest.mark.parametrize("suffix", [".png", pytest.param(".gif", marks=pytest.mark.slow)])
def test_verdicts_are_drawn(
    tmp_path: Path, described: Run, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    picture = tmp_path / f"p{suffix}"
    flags = [f"--model_dir={described.directory}", f"--data_dir={described.data}", "--num_sequences=2"]
    assert main([*flags, "--split=train", f"--output={picture}"]) == 0
    *verdicts, last = capsys.readouterr().out.splitlines()
    assert last == str(picture)
    lines = _answers(described, tmp_path, *_shards(described.data, "train"))
    for verdict, line in zip(verdicts, lines, strict=False):
        told = f"{line['caption']} (log-probability {line['log_probability']:.4f})"
        assert verdict == f"Expected: {' | '.join(line['expected'])}, Predicted: {told}"
    if suffix == ".png":
        assert image.imread(picture).shape[0] > 2 * 150
    else:
        with Image.open(picture) as opened:
            assert getattr(opened, "n_frames", 1) > 1
