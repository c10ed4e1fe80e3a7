"""Requests for captions of clips that are wrong get one line, and nothing is written."""

import shutil
from pathlib import Path

import pytest

from pipeline.command_line.errors import RequestError
from tests.trainer.clip_runs import Run
from tests.trainer.prediction.conftest import change_config
from trainer.predict import main

OF_CAPTIONERS = [
    (
        "--data_dir={data} --top_k=2",
        "--top_k: is of classes, the model was trained to describe; leave it out",
    ),
    ("--input {clip} --top_k=1", "--top_k: is of classes"),
    ("--input {clip} --beam=0", "--beam"),
    ("--input {clip} --beam=wide", "--beam"),
    ("--input {clip} --beam=101", "--beam 101: give a whole number from 1 to 100"),
    ("--data_dir={data} --beam=1000", "--beam 1000: give a whole number from 1 to 100"),
    ("--input {clip} --length_penalty=-1", "--length_penalty -1.0: give a number from 0 to 10"),
    ("--input {clip} --length_penalty=nan", "--length_penalty nan: give a number from 0 to 10"),
    ("--input {clip} --length_penalty=long", "--length_penalty"),
    ("", "only moving lines are drawn from a seed"),
    ("--data_dir={data} --seed=3", "no --seed"),
    ("--data_dir={data} --stride=2", "--stride is of --input"),
    ("--data_dir={data} --split=exam", "--split exam: give one of train, validation, test"),
    ("--data_dir={data} --first=90", "has 4"),
    ("--data_dir={lines}", "whose input path is no frames"),
    ("--input {line_shard}", "whose input path is no frames"),
    ("--data_dir={other}", r"trained on frames of shape 24, 32, 3, the data set has 6, 8, 3"),
    ("--input {clip} --output={tmp}/a.txt", "ends in .jsonl or .csv"),
    ("--input {clip} --output={tmp}/p.png --batch_size=2", "--batch_size: is of answers"),
    ("--input {clip} --data_dir={data}", "leave --data_dir out"),
]


def _refused(flags: list[str], tmp_path: Path, named: str) -> None:
    with pytest.raises(RequestError, match=named) as caught:
        main(flags)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def other_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipeline.generate import generate
    from tests.trainer.scenes_kind import Scenes

    directory = tmp_path_factory.mktemp("scenes") / "data"
    generate(Scenes(num_train=1, num_validation=1, num_test=1), str(directory), direct_num_workers=1)
    return directory


@pytest.mark.parametrize(("flags", "named"), OF_CAPTIONERS)
def test_wrong_requests_of_captioners(
    tmp_path: Path,
    described: Run,
    described_source: Path,
    path_dataset_dir: Path,
    other_data: Path,
    flags: str,
    named: str,
) -> None:
    places = {
        "tmp": tmp_path,
        "data": described.data,
        "clip": described_source / "run" / "3.mp4",
        "lines": path_dataset_dir,
        "line_shard": next(path_dataset_dir.glob("*.tfrecord*")),
        "other": other_data,
    }
    _refused([f"--model_dir={described.directory}", *flags.format(**places).split()], tmp_path, named)


@pytest.mark.parametrize("flag", ["--beam=2", "--length_penalty=0.5"])
@pytest.mark.parametrize("rest", ["--data_dir={data}", "--input {data}"])
def test_flags_of_captions_are_refused_for_classifiers(
    tmp_path: Path, run_dir: Path, clip_run: Path, clip_data: Path, flag: str, rest: str
) -> None:
    for run in (run_dir, clip_run):
        flags = [f"--model_dir={run}", flag, *rest.format(data=clip_data).split()]
        _refused(
            flags, tmp_path, f"{flag.partition('=')[0]}: is of captions, the model was trained to classify"
        )


def test_records_without_labels_are_refused_for_classifiers(
    tmp_path: Path, clip_run: Path, described: Run
) -> None:
    flags = [f"--model_dir={clip_run}", f"--data_dir={described.data}"]
    _refused(flags, tmp_path, "is a data set of clips without class labels")


def test_a_model_that_is_not_the_one_of_the_configuration(
    tmp_path: Path, clip_run: Path, clip_data: Path, described: Run
) -> None:
    run = tmp_path / "run"
    for directory, other, data in (
        (described.directory, clip_run, described.data),
        (clip_run, described.directory, clip_data),
    ):
        shutil.copytree(directory, run)
        shutil.copyfile(other / "model.keras", run / "model.keras")
        with pytest.raises(RequestError, match="is of another model; restore it or train again"):
            main([f"--model_dir={run}", f"--data_dir={data}"])
        shutil.rmtree(run)


def test_a_damaged_configuration(tmp_path: Path, described: Run) -> None:
    run = tmp_path / "run"
    shutil.copytree(described.directory, run)
    change_config(run, dataset={"frame_shape": 7})
    with pytest.raises(RequestError, match="is damaged; restore it or train again"):
        main([f"--model_dir={run}", f"--data_dir={described.data}"])
