"""Wrong requests about trainings that describe: one line each, and nothing written."""

import shutil
from pathlib import Path

import pytest

from pipeline.command_line.errors import RequestError
from tests.conftest import Program, make_dataset
from tests.pipeline.clips.clip_folders import snapshot
from tests.trainer.captions.caption_kinds import WithGaps, WithoutClasses
from tests.trainer.frames import data_sets as frame_data_sets
from trainer.captions.kind import CaptionsKind
from trainer.input.split_files import read_manifest, split_files
from trainer.task import main
from trainer.tasks.judging import JudgingRequest
from trainer.training.settings import TrainingSettings

OF_BALLS = [
    ("--task=caption", "--task caption: give one of classify, describe"),
    ("--task=describe --max_words=0", "--max_words"),
    ("--task=describe --max_words=1000", "--max_words 1000: give at most 200"),
    ("--task=describe --min_word_count=0", "--min_word_count"),
    (
        "--task=describe --min_word_count=100000",
        "--min_word_count 100000: no word of the training split is so frequent",
    ),
    ("--attention", "--attention: is of --task describe; leave it out"),
    ("--tie_embeddings", "--tie_embeddings: is of --task describe"),
    ("--max_words=5", "--max_words: is of --task describe"),
    ("--min_word_count=2", "--min_word_count: is of --task describe"),
    ("--task=classify --attention", "--attention: is of --task describe"),
    ("--init_from={run}", "--init_from: is of --task describe"),
    ("--task=describe --class_weights=balanced", "--class_weights: is of classes, not of --task describe"),
    ("--task=describe --label_smoothing=0.1", "--label_smoothing: is of classes"),
    ("--task=describe --temporal=mean", "--temporal: is of classes"),
    ("--task=describe --line=dot", "--line: is of moving lines, not of described_balls"),
    ("--task=describe --window=4", "--window: is of moving lines"),
    ("--task=describe --freeze_backbone", "--freeze_backbone: conv has no weights to keep"),
    ("--task=describe --num_frames=2000", "--num_frames 2000: give at most 1024"),
    ("--task=describe --crop=33", "--crop 33: the frames have only 32x24 pixels"),
    ("--task=describe --architecture=folded", "--architecture folded: give one of classic, conv"),
    ("--task=describe --units=0", "--units"),
    ("--task=describe --batch_size=10000", "--batch_size 10000: the training split has only 240"),
    ("--task=describe --init_from={tmp}/no", "--init_from .*/no: has no model.keras; name a finished"),
    ("--task=describe --init_from={tmp}", "--init_from .*: has no model.keras; name a finished training"),
    ("--task=describe --init_from=nowhere://run", "--init_from nowhere://run: has no model.keras"),
    ("--task=describe --init_from={tmp}/damaged", "damaged/model.keras is damaged"),
    ("--task=describe --init_from={lines_run}", "--init_from .*: its encoder is not of this --architecture"),
    ("--task=describe --architecture=classic --init_from={run}", "--init_from .*: its encoder is not of"),
]


def _refused(tmp_path: Path, data: Path, flags: list[str], message: str) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(RequestError, match=message) as refused:
        main([f"--data_dir={data}", f"--model_dir={tmp_path}/run", *flags])
    assert "\n" not in str(refused.value)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(("flags", "message"), OF_BALLS)
def test_trainings(
    tmp_path: Path, balls_dir: Path, balls_run: Path, run_dir: Path, flags: str, message: str
) -> None:
    if "damaged" in flags:
        (tmp_path / "damaged").mkdir()
        shutil.copy(balls_run / "config.json", tmp_path / "damaged")
        (tmp_path / "damaged" / "model.keras").write_bytes(b"PK")
    places = {"tmp": tmp_path, "run": balls_run, "lines_run": run_dir}
    _refused(tmp_path, balls_dir, [flag.format(**places) for flag in flags.split()], message)


@pytest.mark.parametrize(
    ("kind", "flags", "message"),
    [
        ("balls", ["--task=describe"], "bouncing_balls without a text named caption; models learn to"),
        ("balls", ["--attention"], "--attention: is of --task describe"),
        ("paths", ["--task=describe"], "moving_line, whose input path is no frames"),
        ("paths", ["--max_words=4"], "--max_words: is of --task describe"),
        ("frames", ["--task=describe"], "moving_line without a text named caption"),
        ("captions", ["--task=describe", "--noise=0.1"], "--noise: is of moving lines"),
        ("captions", ["--attention"], "--attention: is of --task describe"),
        ("captions", ["--task=describe", "--num_frames=9"], "--num_frames 9: the clips have only 8 frames"),
        ("unlabelled", ["--task=classify"], "without_classes without class labels"),
        ("unlabelled", ["--class_weights=balanced"], "--class_weights: is of classes"),
    ],
)
def test_other_data_sets(tmp_path: Path, kind: str, flags: list[str], message: str) -> None:
    data = tmp_path / "data"
    numbers = {"num_train": 40, "num_validation": 5, "num_test": 5}
    if kind == "balls":
        frame_data_sets.balls(data, **numbers)
    elif kind == "unlabelled":
        frame_data_sets.copied(WithoutClasses(seed=3, **numbers), data)
    else:
        encoding = "path" if kind == "paths" else "frames"
        make_dataset(data, encoding=encoding, captions=kind == "captions", **numbers)
    _refused(tmp_path, data, [*flags, "--batch_size=4"], message)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train", "4 of 40 clips of the training split have no caption; generate a data set"),
        ("validation", "1 of 5 clips of the validation split have no caption; generate a data set"),
    ],
)
def test_every_clip_needs_a_caption(tmp_path: Path, split: str, message: str) -> None:
    data = tmp_path / "data"
    frame_data_sets.copied(WithGaps(seed=3, gaps=split, num_train=40, num_validation=5, num_test=5), data)
    _refused(tmp_path, data, ["--task=describe", "--batch_size=4"], message)


def test_every_clip_that_is_judged_needs_a_caption(tmp_path: Path) -> None:
    data = tmp_path / "data"
    frame_data_sets.copied(WithGaps(seed=3, gaps="test", num_train=9, num_validation=5, num_test=14), data)
    files = split_files(str(data), read_manifest(str(data)), "test")
    request = JudgingRequest("test", batch_size=4)
    with pytest.raises(RequestError, match="2 of 14 clips of the test split have no caption"):
        CaptionsKind().judge(TrainingSettings(task="describe", num_frames=4), files, request, {})


@pytest.mark.slow
def test_a_wrong_request_ends_with_2(program: Program, tmp_path: Path, balls_dir: Path) -> None:
    places = [f"--data_dir={balls_dir}", f"--model_dir={tmp_path / 'run'}"]
    done = program("trainer.task", *places, "--task=describe", "--max_words=1000")
    assert done.returncode == 2
    assert done.stderr == "trainer.task: error: --max_words 1000: give at most 200\n"
    assert not (tmp_path / "run").exists()
