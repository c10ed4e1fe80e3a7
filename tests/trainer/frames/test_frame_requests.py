"""Wrong requests about data sets of frames: one line each, and nothing changed."""

from pathlib import Path

import keras
import pytest

from pipeline.command_line.errors import RequestError
from tests.pipeline.clips.clip_folders import snapshot
from tests.trainer.frames import data_sets
from trainer.evaluate import main as evaluate_main
from trainer.task import main as train_main

TRAINING = [
    ("--num_frames=0", "--num_frames"),
    ("--num_frames=2000", "--num_frames 2000: give at most 1024"),
    ("--frame_step=0", "--frame_step"),
    ("--sampling=all", "--sampling all: give one of window, segments"),
    ("--sampling=segments --frame_step=2", "--frame_step 2: is of --sampling window"),
    ("--crop=0", "--crop 0: give a side in pixels, or WIDTHxHEIGHT"),
    ("--crop=12x", "--crop 12x: give a side"),
    ("--crop=33", "--crop 33: the frames have only 32x24 pixels"),
    ("--crop=16x25", "--crop 16x25: the frames have only 32x24 pixels"),
    ("--brightness=1", "--brightness 1.0: give a number from 0 to below 1"),
    ("--brightness=nan", "--brightness nan"),
    ("--contrast=-0.1", "--contrast -0.1"),
    ("--label_smoothing=1", "--label_smoothing 1.0"),
    ("--temporal=gru", "--temporal gru: give one of lstm, mean"),
    ("--units=0", "--units"),
    ("--class_weights=equal", "--class_weights equal: give one of balanced"),
    ("--architecture=resnet", "--architecture resnet: give one of classic, conv, or a name of keras"),
    ("--architecture=folded", "--architecture folded: give one of classic, conv"),
    ("--architecture=ResNet50", "--architecture ResNet50: cannot be made for frames of 32x24 pixels"),
    ("--backbone_weights={tmp}/w.h5", "--backbone_weights: is of keras.applications, not of conv"),
    ("--freeze_backbone", "--freeze_backbone: conv has no weights to keep"),
    ("--architecture=MobileNetV2 --backbone_weights={tmp}/no.h5", "--backbone_weights .*no.h5: no such file"),
    ("--architecture=MobileNetV2 --backbone_weights={tmp}", "--backbone_weights .*: no such file"),
    ("--line=dot", "--line: is of moving lines, not of bouncing_balls"),
    ("--window=4", "--window: is of moving lines"),
    ("--noise=0.1", "--noise: is of moving lines"),
    ("--batch_size=10000", "--batch_size 10000: the training split has only 240"),
    ("--feeds=2 --batch_size=7", "--batch_size 7: 2 feeds cannot share it evenly"),
]
JUDGING = [
    ("--views=0", "--views"),
    ("--crops=0", "--crops"),
    ("--flips=0.1", "--flips: is of moving lines"),
    ("--split=train", "that the model was trained on"),
    ("--split=dev", "--split dev: give one of train, validation, test"),
    ("--checks={tmp}/checks.yaml", "there is no number per_class.purple.recall; did you mean"),
    ("--slices={tmp}/slices.py", "slicing mine: .*nothing here"),
    ("--data_dir={clips}", "trained on the classes red, green, blue|trained on frames of shape 24, 32, 3"),
    ("--data_dir={lines}", "was trained on another kind of data set"),
    ("--model_dir={lines_run}", "was trained on moving lines"),
    ("--seed=1", "--seed decides which pixels --flips flips"),
]


def _flags(text: str, **places: Path) -> list[str]:
    return [flag.format(**places) for flag in text.split()]


@pytest.mark.parametrize(("flags", "message"), TRAINING)
def test_trainings(tmp_path: Path, balls_dir: Path, flags: str, message: str) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(RequestError, match=message) as refused:
        train_main([f"--data_dir={balls_dir}", f"--model_dir={tmp_path}/run", *_flags(flags, tmp=tmp_path)])
    assert "\n" not in str(refused.value)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(("flags", "message"), JUDGING)
def test_judgements(
    tmp_path: Path,
    balls_dir: Path,
    balls_run: Path,
    clips_dir: Path,
    path_dataset_dir: Path,
    run_dir: Path,
    flags: str,
    message: str,
) -> None:
    (tmp_path / "checks.yaml").write_text("per_class.purple.recall: {min: 0.5}\n")
    (tmp_path / "slices.py").write_text(
        "from trainer.evaluation.slices import slicing\n"
        "@slicing('mine', 'a')\ndef mine(examples, labels):\n    raise ValueError('nothing here')\n"
    )
    places = {"tmp": tmp_path, "clips": clips_dir, "lines": path_dataset_dir, "lines_run": run_dir}
    given = [f"--data_dir={balls_dir}", f"--model_dir={balls_run}", f"--output={tmp_path}/m.json"]
    before = snapshot(tmp_path)
    with pytest.raises(RequestError, match=message) as refused:
        evaluate_main([*given, *_flags(flags, **places)])
    assert "\n" not in str(refused.value)
    assert snapshot(tmp_path) == before


def test_flags_of_clips_are_not_of_lines(tmp_path: Path, path_dataset_dir: Path, run_dir: Path) -> None:
    for flags in ("--num_frames=4", "--flip", "--crop=4", "--temporal=mean", "--label_smoothing=0.1"):
        with pytest.raises(RequestError, match="is not of moving lines; leave it out"):
            train_main([f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path}/run", flags])
    for flags in ("--views=2", "--crops=3", "--single_frame"):
        with pytest.raises(RequestError, match="leave it out"):
            evaluate_main([f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", flags])
    assert not (tmp_path / "run").exists()


def test_crops_are_of_models_that_saw_crops(clips_dir: Path, clips_run: Path) -> None:
    with pytest.raises(RequestError, match=r"--crops 3: the model was trained on whole frames"):
        evaluate_main([f"--data_dir={clips_dir}", f"--model_dir={clips_run}", "--crops=3"])


@pytest.mark.slow
def test_weights_of_another_network_are_one_line(tmp_path: Path) -> None:
    data = data_sets.clips(tmp_path / "d", frame_size="32")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(tmp_path / "a.weights.h5")
    flags = ["--architecture=MobileNetV2", f"--backbone_weights={tmp_path}/a.weights.h5", "--batch_size=4"]
    with pytest.raises(RequestError, match=r"MobileNetV2 --backbone_weights .*: cannot be made") as refused:
        train_main([f"--data_dir={data}", f"--model_dir={tmp_path}/run", "--freeze_backbone", *flags])
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_statistics_and_dropout_that_keep_no_promise_are_one_line(tmp_path: Path) -> None:
    data = data_sets.clips(tmp_path / "d", frame_size="32")
    flags = ["--architecture=EfficientNetB0", "--batch_size=4", f"--data_dir={data}"]
    with pytest.raises(RequestError, match=r"this network has dropout.*add --freeze_backbone"):
        train_main([*flags, f"--model_dir={tmp_path}/run"])
    assert not (tmp_path / "run").exists()


def test_a_class_without_clips_cannot_be_balanced(tmp_path: Path) -> None:
    data = data_sets.balls(tmp_path / "d", num_train=2)
    flags = ["--class_weights=balanced", "--batch_size=2", "--steps_per_epoch=1"]
    with pytest.raises(RequestError, match="--class_weights balanced: the training split has no example of"):
        train_main([f"--data_dir={data}", f"--model_dir={tmp_path}/run", *flags])
    assert not (tmp_path / "run").exists()


def test_a_data_set_without_validation_is_one_line(tmp_path: Path) -> None:
    data = data_sets.clips(tmp_path / "d", splits="80,0,20")
    with pytest.raises(RequestError, match=r"has no split validation; a training needs train and validation"):
        train_main([f"--data_dir={data}", f"--model_dir={tmp_path}/run"])
    assert not (tmp_path / "run").exists()
