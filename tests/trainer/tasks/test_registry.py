from pathlib import Path

import pytest

from pipeline.command_line.errors import RequestError
from pipeline.generate import generate
from tests.trainer.scenes_kind import Scenes
from trainer.dataset_kinds import SPECIAL
from trainer.evaluate import main as evaluate_main
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.split_files import read_manifest
from trainer.predict import main as predict_main
from trainer.task import main as train_main
from trainer.tasks.classify import Classify
from trainer.tasks.registry import task_of
from trainer.tasks.trainable_kind import trainable_kind


def test_lines_are_classified(dataset_dir: Path) -> None:
    spec = DatasetSpec.of(read_manifest(str(dataset_dir)))
    assert isinstance(task_of(spec), Classify)
    assert trainable_kind(spec).image_size(spec) == 8
    assert (spec.input, spec.target, spec.class_names) == (dataset_dir.name, "label", ("left", "right"))
    assert spec.num_frames == 8
    assert task_of(spec).verdict(1, 0.25) == "Expected: Right, Predicted: Left (probability 0.7500)"


def test_a_data_set_of_another_kind_is_one_line(tmp_path: Path, run_dir: Path) -> None:
    data = tmp_path / "scenes"
    generate(Scenes(), str(data), direct_num_workers=1)
    told = f"--data_dir {data}: is a data set of scenes; models can be trained on {', '.join(SPECIAL)} only"
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
    for main, flags in (
        (train_main, [f"--model_dir={tmp_path / 'run'}"]),
        (evaluate_main, [f"--model_dir={run_dir}", f"--output={tmp_path / 'metrics.json'}"]),
        (predict_main, [f"--model_dir={run_dir}"]),
    ):
        with pytest.raises(RequestError) as refused:
            main([f"--data_dir={data}", *flags])
        assert str(refused.value) == told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scenes"]
    assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")} == before


def test_a_split_that_is_not_there_is_one_line(path_dataset_dir: Path, run_dir: Path) -> None:
    for main in (evaluate_main, predict_main):
        with pytest.raises(RequestError, match=r"^--split dev: give one of train, validation, test$"):
            main([f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", "--split=dev"])
