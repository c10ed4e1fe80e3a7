"""Pictures of a data set of clips: statistics, and clips by their names."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from PIL import Image

from pipeline.clips.definition import Clips
from pipeline.clips.index import Entry
from pipeline.clips.source_facts import SourceFacts, facts_lines
from pipeline.clips.sources import Source
from pipeline.clips.statistics import ClipStatistics
from pipeline.clips.statistics_picture import draw_statistics
from pipeline.generate import generate, summary
from pipeline.preview import main, preview
from tests.conftest import Program

COLORS = {"blue": (0, 0, 255), "green": (0, 200, 0), "price $5 _^": (255, 0, 0)}
FRAMES = 10


def _write_clips(directory: Path) -> None:
    """Four clips of every class, 24x16 pixels, ten frames in 1.2 s: a square that moves by two pixels."""
    for label, color in COLORS.items():
        (directory / label).mkdir(parents=True)
        for number in range(4):
            frames = []
            for time in range(FRAMES):
                frame = np.full((16, 24, 3), 60 + 10 * number, np.uint8)
                frame[4 : 8 + number, 2 * time : 2 * time + 4] = color
                frames.append(Image.fromarray(frame))
            path = directory / label / f"{number}.gif"
            frames[0].save(path, save_all=True, append_images=frames[1:], duration=120)
    (directory / "green" / "not.mp4").write_text("no video")


def _definition(data_dir: Path) -> Clips:
    return Clips(
        source=str(data_dir.parent / "source"),
        frame_size="24x16",
        image_encoding="png",
        max_frames=4,
        on_bad_clip="skip",
        max_bad="10%",
    )


@pytest.fixture(scope="module")
def clips_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("clips")
    _write_clips(directory / "source")
    generate(_definition(directory / "data"), str(directory / "data"), direct_num_workers=1)
    return directory / "data"


def test_statistics_say_what_was_found(clips_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "statistics.svg"
    assert main(["--statistics", str(output), "--data_dir", str(clips_dir)]) == 0
    text = output.read_text()
    # 12 clips, two of each class for training, each with three records of at most four frames.
    for named in (*COLORS, "train: 6", "train: 18", "test: 3", "24x16: 12", "8.33: 12", "gif: 12"):
        assert f"<!-- {named} -->" in text or f"<!--  {named} -->" in text, named
    assert "not to the end: 1 clips" in text
    assert "words of a caption" not in text
    assert "cannot be opened (Invalid data found when processing input): 1" in text


def test_the_summary_says_the_same_and_fits_a_screen(clips_dir: Path) -> None:
    manifest = generate(_definition(clips_dir), str(clips_dir))[0]
    lines = summary(manifest, str(clips_dir), None).splitlines()
    assert len(lines) <= 24
    for line in (
        "  12 of 13 clips, 14.4 s of them",
        "  seconds    1.2 to 1.2, median 1.2, a clip",
        "  sizes      24x16 (12)",
        "  rates      8.33 (12)",
        "  codecs     gif (12)",
    ):
        assert line in lines


def _counts(classes: int) -> ClipStatistics:
    clips = {f"class {number}": 2 * classes - number for number in range(classes)}
    return ClipStatistics(clips, clips, clips, {1: sum(clips.values())})


FACTS = SourceFacts.of(
    [
        Entry(Source("a/1.mp4", 9, "a", "train"), "", facts, records=("r",), brightness=100.0)
        for facts in [{"codec": "h264", "width": 20, "height": 10, "num_frames": 30, "seconds": 1.001}]
    ]
)


@pytest.mark.parametrize("classes", [1, 2, 40])
def test_every_class_has_a_bar(classes: int, tmp_path: Path) -> None:
    draw_statistics({"train": _counts(classes)}, FACTS, str(tmp_path / "x.svg"))
    text = (tmp_path / "x.svg").read_text()
    for number in range(classes):
        assert text.count(f"<!-- class {number} -->") == 2


@pytest.mark.parametrize("classes", [41, 101, 1000])
def test_of_many_classes_the_extremes_are_named(classes: int, tmp_path: Path) -> None:
    splits = {"train": _counts(classes), "test": ClipStatistics({}, {"class 0": 1}, {}, {})}
    draw_statistics(splits, FACTS, str(tmp_path / "x.svg"))
    text = (tmp_path / "x.svg").read_text()
    assert f"most: {2 * classes + 1:,} class 0" in text
    assert f"fewest: {classes + 1:,} class {classes - 1}" in text
    assert f"test: {classes - 1} classes have none" in text
    assert "class 20 " not in text
    draw_statistics(splits, FACTS, str(tmp_path / "x.png"))
    height, width = image.imread(tmp_path / "x.png").shape[:2]
    assert height < width


def test_facts_are_of_the_part_that_is_used() -> None:
    facts = {"codec": "h264", "width": 20, "height": 10, "num_frames": 300, "seconds": 10.0}
    used = {"records": ("r",), "brightness": 50.0}
    entries = [
        Entry(Source("a", 1, split="train"), "", facts, **used),  # type: ignore[arg-type]
        Entry(Source("b", 1, split="train", start="2", end="5.5"), "", facts, **used),  # type: ignore[arg-type]
        Entry(Source("c", 1, split="test", start="9", end="50"), "", facts, **used),  # type: ignore[arg-type]
        Entry(Source("d", 1, split="test"), "", facts, damage="is damaged at frame 17", **used),  # type: ignore[arg-type]
        Entry(Source("e", 1), "", {}, reason="is damaged at frame 4"),
        Entry(Source("f", 1), "", {}, reason="has no video stream"),
    ]
    found = SourceFacts.of(entries)
    assert found.seconds == {"train": [10.0, 3.5], "test": [1.0, 10.0]}
    assert found.rates == {"30": 4}
    assert found.sizes == {"20x10": 4}
    assert found.reasons == {"is damaged at frame N": 2, "has no video stream": 1}
    assert facts_lines(found.to_json())[0] == "  seconds    1.0 to 10.0, median 6.8, a clip"


def test_of_many_sizes_the_rarest_are_summed() -> None:
    entries = [
        Entry(
            Source(f"{width} {number}", 1, split="train"),
            "",
            {"codec": "h264", "width": width, "height": 1, "num_frames": 1, "seconds": 1.0},
            records=("r",),
        )
        for width in range(1, 8)
        for number in range(width)
    ]
    line = facts_lines(SourceFacts.of(entries).to_json())[2]
    assert line == "  sizes      7x1 (7), 6x1 (6), 5x1 (5), 4x1 (4), others (6)"


def _columns(path: Path, color: tuple[int, int, int]) -> np.ndarray:
    """Columns of a picture that hold pixels of a colour."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    columns: np.ndarray = (np.abs(picture - color).max(axis=-1) < 40).any(axis=0).nonzero()[0]
    return columns


def test_a_clip_by_its_name_is_drawn_to_its_end(clips_dir: Path, tmp_path: Path) -> None:
    """All its records are, one after the other."""
    preview(str(tmp_path / "a.png"), str(clips_dir), clip="green/2.gif", num_frames=30)
    with Image.open(tmp_path / "a.png") as strip:
        width = strip.width / FRAMES
    # The square moves from the left edge of the first frame to the right edge of the last.
    columns = _columns(tmp_path / "a.png", COLORS["green"])
    assert columns[0] < 0.2 * width
    assert columns[-1] > 9.7 * width
    assert not _columns(tmp_path / "a.png", COLORS["blue"]).size


def test_a_clip_by_its_name_moves(clips_dir: Path, tmp_path: Path) -> None:
    arguments = ["--data_dir", str(clips_dir), "--clip", "price $5 _^/0.gif"]
    assert main([*arguments, "--output", str(tmp_path / "a.gif")]) == 0
    with Image.open(tmp_path / "a.gif") as gif:
        places = set()
        for frame in range(getattr(gif, "n_frames", 1)):
            gif.seek(frame)
            gif.convert("RGB").save(tmp_path / "frame.png")
            places.add(_columns(tmp_path / "frame.png", (255, 0, 0))[0])
    assert len(places) == FRAMES


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("green/7.gif", "--clip green/7.gif: no such clip; give a path below the source, as in blue/0.gif"),
        ("green/not.mp4", "--clip green/not.mp4: is not in the data set: cannot be opened"),
    ],
)
def test_a_clip_that_is_not_there(
    name: str, message: str, clips_dir: Path, tmp_path: Path, program: Program
) -> None:
    arguments = ["--data_dir", clips_dir, "--clip", name, "--output", tmp_path / "a.png"]
    done = program("pipeline.preview", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"pipeline.preview: error: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_clips_are_drawn_of_a_data_set_only(tmp_path: Path, program: Program) -> None:
    done = program("pipeline.preview", "--dataset", "clips", "--output", tmp_path / "a.png")
    assert done.returncode == 2
    assert done.stderr == (
        "pipeline.preview: error: clips: is made of sources; give --data_dir of a data set of it\n"
    )


def test_a_contact_sheet_has_a_tile_a_clip(clips_dir: Path, tmp_path: Path) -> None:
    """Not one for each of its records."""
    main(["--data_dir", str(clips_dir), "--contact_sheet", str(tmp_path / "sheet.svg")])
    text = (tmp_path / "sheet.svg").read_text()
    assert text.count(".gif -->") == 6
    for name in COLORS:
        assert f"<!-- {name} -->" in text
