"""`benchmarks.bench`: what it is asked for, what it writes."""

import inspect
import json
import re
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.results_file import RESULTS
from benchmarks.tables import SECTIONS, TABLES, breakdown, generation, module_of
from pipeline.command_line.errors import WorkError
from pipeline.moving_line.encodings import ENCODINGS
from tests.conftest import ROOT, Program

MEASURED_BY_THEMSELVES = (
    *("scaling, as RGB, and cutting", "pictures as JPEG", "the record, its checksums and digests"),
    *("records from files, every byte checked", "shuffling a window of records", "JPEG to pixels"),
    *("reading", "forward: pixels as numbers", "optimizer"),
)


def test_every_table_has_a_module_and_a_target() -> None:
    modules = {path.stem for path in (ROOT / "benchmarks" / "tables").glob("[a-z]*.py")}
    assert modules == TABLES.keys()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all(table.command.removeprefix("make ").split()[0] in targets for table in TABLES.values())


@pytest.mark.parametrize("name", sorted(TABLES.keys() - set(SECTIONS)))
def test_a_table_takes_its_settings(name: str) -> None:
    inspect.signature(module_of(name).measure).bind(Path("d"), **dict.fromkeys(TABLES[name].settings))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nothing"], "--rows nothing: give the key of a row, or names of generation, "),
        (["generation", "read-nothing"], "--rows read-nothing: give the key of a row"),
        (["read-paths", "--rounds", "5"], "--rounds: is no setting of reading"),
        (["resuming", "--num_shards", "5"], "--num_shards: is no setting of resuming"),
        (["resuming", "--rounds", "0"], "--rounds"),
        (["many_shards", "--num_shards", "5"], "--num_shards 5: give at least "),
    ],
)
def test_wrong_requests_are_one_line(program: Program, tmp_path: Path, words: list[str], named: str) -> None:
    answer = program("benchmarks.bench", "--rows", *words, "--output_dir", tmp_path)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith("benchmarks.bench: error: ")
    assert named in line


@pytest.mark.slow
def test_figures_are_written_with_where_they_are_from(program: Program, tmp_path: Path) -> None:
    flags = ("--rows", "resuming", "--quick", "--num_path", "256", "--output_dir", tmp_path)
    answer = program("benchmarks.bench", *flags)
    assert answer.returncode == 0, answer.stderr
    document = json.loads((tmp_path / "resuming.json").read_text())
    assert document["command"] == "make scaling"
    assert document["machine"]["cores"] > 0
    assert document["versions"].keys() >= {"tensorflow", "numpy"}
    (measured,) = document["rounds"]
    assert all(seconds > 0 for seconds in measured.values())
    assert answer.stdout.startswith(module_of("resuming").table(document))


@pytest.mark.slow
def test_rows_that_are_asked_for_are_measured_and_no_others(program: Program, tmp_path: Path) -> None:
    asked = ("bytes-frames-entropy", "verify-zeros")
    answer = program("benchmarks.bench", "--rows", *asked, "--quick", "--output_dir", tmp_path)
    assert answer.returncode == 0, answer.stderr
    document = json.loads((tmp_path / "bench.json").read_text())
    assert [row["key"] for row in document["rows"]] == list(asked)
    assert document["command"] == f'make bench QUICK=1 ROWS="{" ".join(asked)}"'
    of_one = json.loads((tmp_path / "record_size.json").read_text())
    assert of_one["command"] == 'make bench QUICK=1 ROWS="bytes-frames-entropy"'


def test_names_of_tables_and_keys_of_rows_tell_what_is_measured() -> None:
    keys = [key for section in SECTIONS.values() for key in section]
    assert len({*keys, *TABLES}) == len(keys) + len(TABLES)
    asked = bench._asked(["train", "memory", "read-paths", "read-frames", "train"])
    assert asked == {
        "training": {"train"},
        "memory": set(SECTIONS["memory"]),
        "reading": {"read-paths", "read-frames"},
    }
    assert bench._command(asked, quick=False) == 'make bench ROWS="train memory reading"'
    assert bench._command(bench._asked([*SECTIONS]), quick=True) == "make bench QUICK=1"


def test_rows_that_were_measured_are_listed() -> None:
    for path in RESULTS.glob("*.json"):
        for row in json.loads(path.read_text()).get("rows", []):
            assert any(row["key"] in keys for keys in SECTIONS.values()), path.name


def test_a_section_gives_the_rows_that_are_listed(tmp_path: Path) -> None:
    rows = module_of("record_size").measure(tmp_path, True)
    assert tuple(row.key for row in rows) == SECTIONS["record_size"]
    chosen = bench._chosen("record_size", {rows[1].key}, rows, quick=False)
    assert chosen == [rows[1]]
    with pytest.raises(WorkError, match=r"memory: gives the row bytes-path-tfds; list it"):
        bench._chosen("memory", {"memory-read"}, rows, quick=True)
    with pytest.raises(WorkError, match="bytes-path-tfds: not measured"):
        bench._chosen("record_size", {"bytes-path-tfds"}, rows[1:], quick=True)


def test_the_comparison_measures_every_encoding() -> None:
    assert set(generation._NAMES) == set(ENCODINGS)


def test_operations_of_a_classifier_of_clips_are_those_of_its_products() -> None:
    from benchmarks.step_needs import clip_training_operations
    from model.frames import VideoClassifierOptions, build_video_classifier

    classifier = build_video_classifier((8, 8, 3), 2, VideoClassifierOptions("conv", units=5))
    # Of 8x8 pixels: 4x4 places, 2x2, pooled to 1x1, and 1x1 again; products of 3x3 pixels by channels.
    first, others = 2 * 16 * 27 * 16, 2 * (4 * 144 * 32 + 1 * 288 * 64)
    lstm = 2 * 4 * 5 * (64 + 5)
    assert clip_training_operations(classifier, 7) == 7 * (2 * first + 3 * (others + lstm))


def test_the_loop_of_captions_has_the_captioners_network() -> None:
    import numpy as np

    from benchmarks.baselines.caption_loop import next_token, write_caption
    from benchmarks.tables import describing
    from model.captions import END, PAD, SPECIAL, START, CaptionerOptions, build_captioner
    from trainer.run.trained_model import TrainedModel
    from trainer.training.settings import TrainingSettings

    random = np.random.default_rng(0)
    captioner = build_captioner((8, 8, 1), (*SPECIAL, "left", "right"), CaptionerOptions(units=5))
    captioner.set_weights([random.normal(0, 0.5, each.shape) for each in captioner.get_weights()])
    frames = random.integers(0, 256, (2, 3, 8, 8, 1), np.uint8)
    trained = TrainedModel(captioner, 1, TrainingSettings(max_words=4), "")
    networks = describing._in_plain_keras(trained, frames.shape[1:])
    captions = [write_caption(*networks, clip) for clip in frames]
    for clip, caption in zip(frames, captions, strict=True):
        assert caption.index(END) == len(caption) - 1 if END in caption else len(caption) == 4
        before = np.array([[START, *caption[:-1]]])
        features = {"frames": clip[None], "length": np.array([3]), "words": before}
        expected = np.asarray(captioner(features))[0]
        found = [
            next_token(networks[1], networks[0](clip[None]), caption[:place]) for place in range(before.size)
        ]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert expected.argmax(axis=1).tolist() == caption

    padded = [[*caption, *[PAD] * (5 - len(caption))] for caption in captions]
    describing._check(padded, captions, networks, frames)
    least = int(found[0].argmin())
    assert found[0].max() - found[0].min() > describing._TIE
    with pytest.raises(WorkError, match="token 0 is more probable"):
        describing._check([padded[0], [least, *padded[1][1:]]], captions, networks, frames)


@pytest.mark.slow
def test_stages_of_clips_are_taken_apart(tmp_path: Path) -> None:
    from benchmarks.breakdowns import clips
    from benchmarks.breakdowns.measuring import limits

    found = limits()
    folders = clips.large_clips(tmp_path, 4), clips.small_clips(tmp_path, 120)
    stages = [
        *map(clips.to_shards, folders),
        clips.reading(tmp_path, found, 120),
        clips.training(tmp_path, found, 120),
    ]
    for stage in stages:
        assert stage["limit"] > 0
        # Others are differences of two measurements, which a loaded machine makes as it likes.
        own = [taken for part, taken in stage["parts"].items() if part in MEASURED_BY_THEMSELVES]
        assert len(own) >= 2
        assert min(own) > 0
    text = breakdown.table({"limits": found, "stages": stages})
    assert text.count("| µs a clip | share |") == len(stages)
