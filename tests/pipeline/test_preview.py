import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from PIL import Image

from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.lines import draw_frames, sample_sequences
from pipeline.pictures.files import save_atomically
from pipeline.pictures.sequences import draw_sequences
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
