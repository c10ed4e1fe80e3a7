"""Which kinds of data sets models are trained on, and how each is found."""

from pathlib import Path

import pytest

from pipeline.command_line.errors import RequestError
from pipeline.dataset.features import ClassLabel, Tensor, Text, Video
from trainer.dataset_kinds import kind_of
from trainer.evaluate import main as evaluate_main
from trainer.frames.kind import FramesKind
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.split_files import read_manifest
from trainer.moving_line.kind import MovingLineKind, verdict
from trainer.predict import main as predict_main
from trainer.tasks.trainable_kind import trainable_kind

FRAMES = Tensor("uint8", (None, 6, 8, 3), "zlib")
DAYS = ClassLabel(("day", "night"))


def test_lines_have_a_kind_of_their_own(dataset_dir: Path) -> None:
    spec = DatasetSpec.of(read_manifest(str(dataset_dir)))
    kind = trainable_kind(spec)
    assert isinstance(kind, MovingLineKind)
    assert kind.identity(spec) == {"image_size": 8}
    assert (spec.input, spec.target, spec.class_names) == (dataset_dir.name, "label", ("left", "right"))
    assert spec.num_frames == 8
    assert verdict(spec.class_names, 1, 0.25) == "Expected: Right, Predicted: Left (probability 0.7500)"


@pytest.mark.parametrize("name", ["clips", "scenes", "anything"])
def test_all_other_kinds_go_the_general_way(name: str) -> None:
    assert isinstance(kind_of(name), FramesKind)


def test_the_first_video_or_tensor_is_the_input() -> None:
    features = {"clip": Text(), "video": Video((6, 8, 1), "jpeg"), "segment": Tensor("int64", (), "none")}
    spec = DatasetSpec("clips", features, {})
    assert (spec.input, spec.has_frames, spec.frame_shape, spec.num_frames) == (
        "video",
        True,
        (6, 8, 1),
        None,
    )
    spec = DatasetSpec("scenes", {"frames": FRAMES, "scene": DAYS}, {})
    assert (spec.input, spec.has_frames, spec.frame_shape, spec.num_frames) == (
        "frames",
        True,
        (6, 8, 3),
        None,
    )


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"x": Tensor("float32", (None, 6, 8, 3), "none"), "label": DAYS}, "whose input x is no frames"),
        ({"x": Tensor("uint8", (4, 6, 8), "zlib"), "label": DAYS}, "whose input x is no frames"),
        ({"x": Tensor("uint8", (4, 6, 8, 2), "zlib"), "label": DAYS}, "whose input x is no frames"),
        ({"x": Tensor("uint8", (4, 6, None, 3), "zlib"), "label": DAYS}, "whose input x is no frames"),
        ({"frames": FRAMES}, "without class labels"),
        ({"frames": FRAMES, "label": ClassLabel(("day",))}, "of a single class, day"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(features: dict[str, object], reason: str) -> None:
    spec = DatasetSpec("mine", features, {})  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=f"--data_dir D: is a data set of mine,? ?{reason}"):
        trainable_kind(spec).check_trainable(spec, "D")


def test_a_split_that_is_not_there_is_one_line(path_dataset_dir: Path, run_dir: Path) -> None:
    for main in (evaluate_main, predict_main):
        with pytest.raises(RequestError, match=r"^--split dev: give one of train, validation, test$"):
            main([f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", "--split=dev"])
