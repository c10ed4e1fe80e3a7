import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from pipeline.command_line.errors import RequestError
from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.lines import CLASS_NAMES, draw_frames, sample_sequences
from pipeline.pictures.contact_sheet import Tile, choose_tiles, draw_contact_sheet
from pipeline.pictures.files import save_atomically
from pipeline.pictures.sequences import draw_sequences
from pipeline.pictures.text import wrapped
from pipeline.preview import main, preview, preview_statistics

YELLOW = np.array([0xFF, 0xD1, 0x66]) / 255


def _yellow_pixels(path: Path) -> np.ndarray:
    picture = image.imread(path)[..., :3]
    yellow: np.ndarray = np.abs(picture - YELLOW).max(axis=-1) < 0.02
    return yellow


def test_frames_side_by_side_grow_by_a_pixel_a_frame(tmp_path: Path) -> None:
    preview(str(tmp_path / "line.png"), MovingLine(image_size=5), num_sequences=1, num_frames=5)
    yellow = _yellow_pixels(tmp_path / "line.png")
    areas = [part.sum() for part in np.array_split(yellow, 5, axis=1)]
    for grown, area in enumerate(areas, start=1):
        assert area / areas[0] == pytest.approx(grown, rel=0.1)


def test_a_picture_from_a_data_set_is_the_one_from_its_seed(path_dataset_dir: Path, tmp_path: Path) -> None:
    preview(str(tmp_path / "a.png"), str(path_dataset_dir), split="test", first=40)
    preview(str(tmp_path / "b.png"), MovingLine(seed=3, image_size=8), split="test", first=40)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    preview(str(tmp_path / "c.png"), MovingLine(seed=3, image_size=8), split="test", first=41)
    assert (tmp_path / "b.png").read_bytes() != (tmp_path / "c.png").read_bytes()


def test_a_gif_shows_every_frame(tmp_path: Path) -> None:
    assert main(["--output", str(tmp_path / "line.gif"), "--image_size", "6", "--num_sequences", "5"]) == 0
    with Image.open(tmp_path / "line.gif") as gif:
        areas = []
        for frame in range(getattr(gif, "n_frames", 1)):
            gif.seek(frame)
            rgb = np.asarray(gif.convert("RGB")) / 255
            areas.append((np.abs(rgb - YELLOW).max(axis=-1) < 0.1).sum())
    assert len(set(areas)) == 6
    assert areas == sorted(areas)
    assert areas[-1] / areas[0] == pytest.approx(6, rel=0.1)


def test_strips_show_no_more_frames_than_there_are(tmp_path: Path) -> None:
    paths, labels = sample_sequences(0, "train", 3, 0, 1)
    draw_sequences(list(draw_frames(paths, labels)), ["title"], str(tmp_path / "a.svg"), num_frames=9)
    assert (tmp_path / "a.svg").read_text().count("frame 3") == 1


def test_statistics_are_drawn_from_the_manifest(tmp_path: Path, path_dataset_dir: Path) -> None:
    output = tmp_path / "statistics.svg"
    assert main(["--statistics", str(output), "--data_dir", str(path_dataset_dir)]) == 0
    text = output.read_text()
    for named in ("600 sequences", "70 sequences", "150 sequences", "start row", "from row 0"):
        assert f"<!-- {named}" in text or named in text
    assert [path.name for path in tmp_path.iterdir()] == ["statistics.svg"]


@pytest.mark.parametrize("image_size", [2, 3])
def test_statistics_of_the_smallest_images_are_drawn(tmp_path: Path, image_size: int) -> None:
    from tests.conftest import make_dataset

    directory = make_dataset(tmp_path / "d", image_size=image_size, num_train=3, num_validation=1, num_test=1)
    preview_statistics(str(tmp_path / "x.png"), str(directory))
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_a_short_shard_is_named_and_no_picture_is_drawn(tmp_path: Path) -> None:
    from pipeline.command_line.errors import WorkError
    from tests.conftest import make_dataset

    directory = make_dataset(tmp_path / "d")
    shard = directory / "moving_line-train.tfrecord-00000-of-00016"
    shard.write_bytes(b"")
    with pytest.raises(WorkError, match=f"{shard.name}: has fewer records"):
        preview(str(tmp_path / "x.png"), str(directory))
    assert not (tmp_path / "x.png").exists()


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("old")
    paths, labels = sample_sequences(0, "train", 3, 0, 2)
    with pytest.raises(ValueError, match="zip"):
        draw_sequences(list(draw_frames(paths, labels)), ["one title too few"], str(tmp_path / "x.png"), 3)
    assert (tmp_path / "x.png").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_a_picture_that_fails_names_the_file_or_the_reason(tmp_path: Path) -> None:
    def copy(path: str) -> None:
        shutil.copyfile(tmp_path / "font", path)

    with pytest.raises(FileNotFoundError) as missing:
        save_atomically(str(tmp_path / "a.png"), copy)
    assert missing.value.filename == str(tmp_path / "font")
    with pytest.raises(FileNotFoundError) as unwritten:
        save_atomically(str(tmp_path / "no" / "a.png"), Image.new("L", (1, 1)).save)
    assert unwritten.value.filename == str(tmp_path / "no" / "a.png")
    with pytest.raises(OSError, match="cannot write mode F as PNG"):
        save_atomically(str(tmp_path / "a.png"), Image.new("F", (1, 1)).save)
    assert not list(tmp_path.iterdir())


def _tiles(directory: Path, names: tuple[str, ...], per_class: int) -> dict[str, list[Tile]]:
    dataset = Dataset.open(str(directory))
    payloads = dataset.read("train", 0, dataset.num_sequences("train"))
    return choose_tiles(dataset.manifest.definition, payloads, names, per_class)


def test_a_contact_sheet_shows_the_first_sequences_of_every_class(path_dataset_dir: Path) -> None:
    tiles = _tiles(path_dataset_dir, CLASS_NAMES, 5)
    paths, labels = sample_sequences(3, "train", 8, 0, 600)
    frames = list(draw_frames(paths, labels))
    for label, name in enumerate(CLASS_NAMES):
        numbers = np.flatnonzero(labels == label)[:5]
        assert [int(tile.text) for tile in tiles[name]] == numbers.tolist()
        for tile, number in zip(tiles[name], numbers, strict=True):
            np.testing.assert_array_equal(tile.frame, frames[number][4])


def test_a_contact_sheet_reads_no_further_than_it_needs(path_dataset_dir: Path) -> None:
    dataset = Dataset.open(str(path_dataset_dir))
    payloads = dataset.read("train", 0, 600)
    choose_tiles(dataset.manifest.definition, payloads, CLASS_NAMES, 5)
    assert sum(1 for _ in payloads) > 550


def test_a_contact_sheet_of_frames_in_colour(tmp_path: Path) -> None:
    import bouncing_balls

    definition = bouncing_balls.BouncingBalls(num_train=40, num_validation=1, num_test=1)
    generate(definition, str(tmp_path / "d"), direct_num_workers=1)
    sheet = tmp_path / "sheet.png"
    arguments = ["--data_dir", str(tmp_path / "d"), "--contact_sheet", str(sheet), "--per_class", "3"]
    assert main(arguments) == 0
    picture = image.imread(sheet)[..., :3]
    rows = {}
    for name, color in bouncing_balls.COLORS.items():
        near = np.abs(picture - np.array(color) / 255).max(axis=-1) < 0.1
        rows[name] = near.any(axis=1).nonzero()[0]
        # Every one of the three tiles, an inch wide, shows its ball.
        assert all(near[:, 12 + 120 * place : 127 + 120 * place].any() for place in range(3))
    assert rows["red"].max() < rows["green"].min() < rows["green"].max() < rows["blue"].min()


def test_a_class_without_sequences_is_said_to_have_none(tmp_path: Path) -> None:
    tile = Tile(np.full((4, 6, 3), 200, np.uint8), "7")
    tiles = {f"class {number}": [tile] * (number % 3) for number in range(64)}
    draw_contact_sheet(tiles, "title", str(tmp_path / "a.svg"))
    text = (tmp_path / "a.svg").read_text()
    assert text.count(": none -->") == 22
    assert text.count("<!-- 7 -->") == 63


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--split", "nope"], "--split nope: give one of train, validation, test"),
        (["--first_class", "2"], "--first_class 2: there are 2 classes, from number 0"),
        (["--per_class", "33"], "--per_class 33: a picture shows at most 32"),
        (["--output", "a.png", "--clip", "x"], "--clip x: sequences of moving_line have no names"),
        (
            ["--output", "a.png", "--clip", "x", "--first", "1"],
            "--clip names the sequences; leave --first out",
        ),
    ],
)
def test_a_wrong_request_is_one_line(
    flags: list[str], message: str, path_dataset_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sheet = [] if "--clip" in flags else ["--contact_sheet", "sheet.png"]
    with pytest.raises(RequestError, match=re.escape(message)):
        main(["--data_dir", str(path_dataset_dir), *sheet, *flags])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flag", ["--statistics", "--contact_sheet", "--clip"])
def test_pictures_of_a_data_set_need_one(flag: str) -> None:
    with pytest.raises(RequestError, match=f"{flag} needs a data set: give --data_dir"):
        main([flag, "x.png", "--output", "a.png"])


def test_titles_are_no_formulas(tmp_path: Path) -> None:
    paths, labels = sample_sequences(0, "train", 3, 0, 1)
    for name in ("a.svg", "a.gif"):
        draw_sequences(list(draw_frames(paths, labels)), ["5 $ _^ $x 漢"], str(tmp_path / name), num_frames=2)
    assert "5 $ _^ $x 漢" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
@pytest.mark.parametrize("num_frames", [1, 3])
def test_long_titles_are_wrapped_within_the_picture(tmp_path: Path, name: str, num_frames: int) -> None:
    videos = [np.full((num_frames, 8, 8, 1), 128, np.uint8)] * 2
    titles = ["a caption of many words, " * 9 + "W" * 99, "short"]
    draw_sequences(videos, titles, str(tmp_path / name), num_frames=3)
    with Image.open(tmp_path / name) as picture:
        ink = np.asarray(picture.convert("L")) < 128
    assert ink.any()
    # Nothing is cut off: all sides of the picture are white.
    for side in (ink[0], ink[:, 0], ink[:, -1]):
        assert not side.any()


def test_a_wrapped_text_keeps_its_words() -> None:
    font = FontProperties(size=10)
    text = "a caption of many words " * 5 + "W" * 50
    lines = wrapped(text, 1.5, font).split("\n")
    assert " ".join(lines[:-1]).startswith("a caption of many words a caption of")
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines]
    assert max(widths) <= 1.5 * 72
    assert wrapped("short", 1.5, font) == "short"
    assert wrapped("", 1.5, font) == ""


@pytest.mark.parametrize(
    "wrong", [["--output={tmp}/no folder/x.png"], ["--output={tmp}/x.png", "--first=100000"]], ids=str
)
def test_no_picture_is_drawn_where_another_cannot_be(
    tmp_path: Path, path_dataset_dir: Path, wrong: list[str]
) -> None:
    flags = [f"--data_dir={path_dataset_dir}", f"--statistics={tmp_path / 'a.png'}"]
    flags += [f"--contact_sheet={tmp_path / 'b.png'}", *(flag.format(tmp=tmp_path) for flag in wrong)]
    with pytest.raises(RequestError):
        main(flags)
    assert list(tmp_path.iterdir()) == []
