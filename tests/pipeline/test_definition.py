"""Finding a kind of data set by name, and its settings as flags and in the manifest."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tensorflow_datasets as tfds
from bouncing_balls import BouncingBalls

from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.errors import RequestError
from pipeline.command_line.setting_flags import add_setting_flags, make_definition, settings_given
from pipeline.dataset.features import ClassLabel, Feature, Tensor, Video
from pipeline.definition import KINDS, Definition, find_kind, reference_to, setting
from pipeline.generate import dry_run_report, generate, main
from pipeline.generation.definition_checks import check_records
from pipeline.moving_line.definition import MovingLine

TAKEN = """
from dataclasses import dataclass
from bouncing_balls import BouncingBalls

@dataclass(frozen=True)
class Kind(BouncingBalls):
    name = "moving_line"
"""


@dataclass(frozen=True)
class Flagged(Definition):
    """Settings of every type; one has the name of a flag of the programs'."""

    name = "flagged"
    rate: float = setting(0.5, "a number")
    mode: str = setting("a", "one of two", choices=("a", "b"))
    is_on: bool = setting(False, "a switch")
    runner: str = setting("x", "a flag of pipeline.generate")

    @property
    def features(self) -> dict[str, Feature]:
        return {"x": Tensor("uint8", (1,)), "label": ClassLabel(("one",))}


def test_kinds_are_found_by_their_reference() -> None:
    kinds: list[tuple[type[Definition], str]] = [
        (MovingLine, "moving_line"),
        (BouncingBalls, "bouncing_balls:BouncingBalls"),
    ]
    for kind, reference in kinds:
        assert reference_to(kind) == reference
        assert find_kind(reference) is kind


@pytest.mark.parametrize(
    ("dataset", "named"),
    [
        ("moving_lines", f"give {', '.join(KINDS)}, or MODULE:NAME"),
        ("", f"give {', '.join(KINDS)}, or MODULE:NAME"),
        ("no_such_module:Kind", "No module named 'no_such_module'"),
        ("bouncing_balls:Kind", "has no attribute 'Kind'"),
        ("bouncing_balls:COLORS", "no dataclass that derives from Definition"),
        ("pipeline.definition:Definition", "no dataclass that derives from Definition"),
        ("broken:Kind", "ZeroDivisionError"),
        ("taken:Kind", "moving_line is the name of a built-in kind"),
    ],
)
def test_what_is_no_kind_is_one_line(
    dataset: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "taken.py").write_text(TAKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RequestError, match=named) as caught:
        main(["--output_dir", str(tmp_path / "d"), "--dataset", dataset])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d").exists()


def test_a_setting_with_the_name_of_a_flag_is_named(tmp_path: Path) -> None:
    reference = f"{Flagged.__module__}:Flagged"
    with pytest.raises(RequestError, match="setting runner of Flagged: a flag has this name"):
        main(["--output_dir", str(tmp_path / "d"), "--dataset", reference])


@pytest.mark.parametrize(
    ("feature", "value", "told"),
    [
        (Tensor("float32", (None, 2, 2, 1)), np.zeros((3, 2, 2, 1), np.float32), "film is float32 of shape"),
        (Tensor("uint8", (None, 2, 2, 1)), np.zeros((0, 2, 2, 1), np.uint8), r"film is uint8 of shape \(0,"),
        (Tensor("uint8", (4,)), np.zeros(4, np.uint8), "film is uint8 of shape"),
        (Video((2, 2, 1), "png"), [b"x"], "film holds images; a method frames of the kind may decode them"),
    ],
)
def test_what_is_no_video_to_draw_is_named(feature: Feature, value: Any, told: str) -> None:
    class Kind(Flagged):
        features = {"label": ClassLabel(("one",)), "film": feature}  # noqa: RUF012

    with pytest.raises(RequestError, match=f"flagged: feature {told}"):
        Kind().frames({"label": 0, "film": value})


def test_the_first_tensor_is_drawn_wherever_the_label_stands() -> None:
    class Kind(Flagged):
        features = {"label": ClassLabel(("one",)), "film": Tensor("uint8", (None, 2, 2, 1))}  # noqa: RUF012

    frames = np.ones((3, 2, 2, 1), np.uint8)
    assert Kind().frames({"label": 0, "film": frames}) is frames


KEPT = """
from dataclasses import dataclass
from pathlib import Path
from bouncing_balls import BouncingBalls

@dataclass(frozen=True)
class Kind(BouncingBalls):
    name = "kept"
    num_train: int = 2
    num_validation: int = 1
    num_test: int = 1
    {field}
"""


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("pair: tuple = (1, 2)", r"kept \(pair is \[1, 2\]\)"),
        ("many: list[int] = None", r"kept \(many is None\)"),
        ("rate: float = float('nan')", r"kept \(rate is nan\)"),
        ("folder: Path = Path('x')", r"kept \(folder is PosixPath\('x'\)\)"),
        ("count: int = '3'", r"kept \(count is '3'\)"),
    ],
)
def test_settings_that_no_manifest_keeps_are_refused_before_the_work(
    field: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"kept_{abs(hash(field))}"
    (tmp_path / f"{module}.py").write_text(KEPT.format(field=field))
    monkeypatch.syspath_prepend(str(tmp_path))
    arguments = ["--output_dir", str(tmp_path / "d"), "--dataset", f"{module}:Kind"]
    for more in ([], ["--dry_run"]):
        with pytest.raises(RequestError, match=f"{module}:Kind: settings that cannot be {named}; each must"):
            main([*arguments, *more])
    assert not (tmp_path / "d").exists()


def _with(features: dict[Any, Any], splits: dict[Any, Any]) -> Definition:
    @dataclass(frozen=True)
    class Mine(Flagged):
        name = "mine"
        features = property(lambda _: features)
        num_sequences = property(lambda _: splits)

    return Mine()


@pytest.mark.parametrize(
    ("features", "named"),
    [
        ({"label": ClassLabel(range(2))}, "feature label .* must be a str, not 0"),  # type: ignore[arg-type]
        ({"label": ClassLabel(("a", "b", "a"))}, "feature label .* two classes are called a"),
        ({"x": Tensor("uint8", (np.int64(2),))}, "feature x .* int64 is not JSON serializable"),  # type: ignore[arg-type]
        ({"clip/label": ClassLabel(("a",))}, "feature clip/label .* leave out the /"),
        ({1: ClassLabel(("a",))}, "feature 1 .* its name must be a str"),
    ],
)
def test_features_that_no_manifest_keeps_are_refused(features: dict[Any, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        check_records(_with(features, {"train": 1}))


@pytest.mark.parametrize(
    ("splits", "named"),
    [
        ({"test/ood": 1}, "split 'test/ood': .* letters, digits, _ and - only"),
        ({"test.ood": 1}, "split 'test.ood'"),
        ({"": 1}, "split ''"),
        ({"train": np.int64(1)}, r"split train has np.int64\(1\) examples: give an int"),
        ({"train": True}, "split train has True examples"),
    ],
)
def test_splits_that_no_manifest_keeps_are_refused(splits: dict[Any, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        check_records(_with({"x": Tensor("uint8", (1,))}, splits))


@dataclass(frozen=True)
class Hyphens(Flagged):
    """A split whose name is no word, and a dtype that is no text."""

    name = "hyphens"
    runner: str = setting("x", "a flag of pipeline.generate")

    @property
    def features(self) -> dict[str, Feature]:
        return {"x": Tensor(np.uint8, (1,)), "label": ClassLabel(("one",))}  # type: ignore[arg-type]

    @property
    def num_sequences(self) -> dict[str, int]:
        return {"train": 3, "test-ood": 2}

    def example(self, split: str, index: int) -> dict[str, Any]:
        return {"x": np.array([index], np.uint8), "label": 0}


def test_the_name_of_a_split_may_have_a_hyphen(tmp_path: Path) -> None:
    directory = str(tmp_path / "d")
    manifest, _ = generate(Hyphens(), directory, direct_num_workers=1)
    assert manifest.splits["test-ood"].num_sequences == 2
    assert manifest.features["x"] == Tensor("uint8", (1,))
    assert generate(Hyphens(), directory, direct_num_workers=1) == (manifest, False)
    assert generate(Hyphens(rate=0.25), directory, direct_num_workers=1, overwrite=True)[1]
    assert len(tfds.builder_from_directory(directory).as_dataset(split="test-ood")) == 2


def test_features_are_looked_at_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = property(lambda _: {"label": ClassLabel(("a", "a"))})
    monkeypatch.setattr(Hyphens, "features", wrong)
    with pytest.raises(RequestError, match=f"{__name__}:Hyphens: feature label"):
        generate(Hyphens(), str(tmp_path / "d"))
    assert not (tmp_path / "d").exists()


def _of_function() -> Definition:
    @dataclass(frozen=True)
    class Inside(Hyphens):
        name = "inside"

    return Inside()


def test_kinds_that_other_processes_cannot_find_are_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RequestError, match=r"Inside: other processes cannot import it .* module of its own"):
        generate(_of_function(), str(tmp_path / "d"))
    monkeypatch.setattr(Hyphens, "__module__", "__main__")
    with pytest.raises(RequestError, match="--dataset __main__:Hyphens: other processes"):
        generate(Hyphens(), str(tmp_path / "d"))
    with pytest.raises(RequestError, match="--dataset __main__:Hyphens: other processes"):
        dry_run_report(Hyphens(), str(tmp_path / "d"), 1)
    assert not (tmp_path / "d").exists()


@dataclass(frozen=True)
class Chosen(Flagged):
    """Settings of a few values, and a check of them that raises what Python raises."""

    name = "chosen"
    runner: str = setting("x", "a flag of pipeline.generate")
    color: Literal["red", "blue"] = "red"
    size: Literal[1, 2] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.color == "blue" and self.size == 2:
            raise ValueError("blue is small")


def _chosen(*flags: str) -> Definition:
    parser = ArgumentParser("program", "", "")
    add_setting_flags(parser, Chosen)
    return make_definition(Chosen, settings_given(parser.parse_args(flags), Chosen))


def test_literals_are_choices() -> None:
    made = _chosen("--color=blue", "--size=1")
    assert made == Chosen(color="blue", size=1)
    assert Chosen.from_json(made.to_json()) == made
    for wrong in ("--color=green", "--size=3", "--size=one"):
        with pytest.raises(RequestError, match=f"--{wrong[2:6]}.*invalid"):
            _chosen(wrong)


def test_what_a_kind_raises_of_its_settings_is_a_wrong_request() -> None:
    with pytest.raises(RequestError, match=f"--dataset {__name__}:Chosen: blue is small"):
        _chosen("--color=blue", "--size=2")


@dataclass(frozen=True)
class Required(Flagged):
    """A setting without a default, and whole numbers for settings that are floats."""

    name = "required"
    rate: float = setting(1, "a number")
    share: float | None = None
    speed: int = field(kw_only=True)


def test_whole_numbers_become_floats_where_these_are_declared() -> None:
    made = Required(share=2, speed=3)
    assert [(type(each), each) for each in (made.rate, made.share, made.speed)] == [
        (float, 1.0),
        (float, 2.0),
        (int, 3),
    ]
    assert Required.from_json(made.to_json()) == made


def test_a_setting_without_a_default_must_be_given() -> None:
    with pytest.raises(RequestError, match="--speed has no default: give it"):
        make_definition(Required, {"rate": 0.5})
    assert make_definition(Required, {"speed": 1}) == Required(speed=1)


@pytest.mark.parametrize(
    "wrong",
    [{"seed": 1.0}, {"seed": True}, {"sequences_per_shard": "3"}, {"height": None}, {"other": 1}],
)
def test_settings_of_other_types_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        BouncingBalls.from_json({**BouncingBalls().to_json(), **wrong})


def test_settings_come_back_from_the_manifest() -> None:
    kinds = [BouncingBalls(seed=4, sequences_per_shard=9), MovingLine(image_size=7), Flagged(is_on=True)]
    for definition in kinds:
        assert type(definition).from_json(definition.to_json()) == definition


def test_an_example_without_its_features_is_named() -> None:
    @dataclass(frozen=True)
    class Wrong(BouncingBalls):
        def example(self, split: str, index: int) -> dict[str, Any]:
            return {**super().example(split, index), "label": index}

    with pytest.raises(ValueError, match="example 3 of split test: feature label: class 3, expected 0 to 2"):
        list(Wrong().blocks("test", 0, 10))


def test_counts_do_not_change_an_example() -> None:
    one, other = BouncingBalls(), BouncingBalls(num_train=7, num_test=3, sequences_per_shard=2)
    another = BouncingBalls(seed=1)
    number = [each.random("train", 5).integers(2**62) for each in (one, other, another)]
    assert number[0] == number[1] != number[2]
    assert one.random("train", 6).integers(2**62) != number[0] != one.random("test", 5).integers(2**62)
