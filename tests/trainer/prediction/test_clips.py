"""Predicting clips: of files of video, images, arrays and TFRecords, and of a data set."""

import csv
import gzip
import io
import json
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from PIL import Image

from pipeline.clips.decoder_process import Decoder
from pipeline.clips.frame_settings import FrameSettings
from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.reader import Dataset
from tests.pipeline.clips.clip_folders import clip, frames, still, write
from tests.pipeline.clips.files import settings
from tests.trainer.prediction.conftest import CLASSES, change_config, make_clips
from trainer.input.batches import sequential_batches
from trainer.input.frame_view import SEGMENTS, FrameView
from trainer.input.split_files import read_manifest, split_files
from trainer.predict import main
from trainer.prediction import clip_media
from trainer.prediction.clip_arrays import ClipArrays
from trainer.prediction.clip_media import ClipMedia
from trainer.prediction.clip_run import ClipRun
from trainer.prediction.clip_windows import ClipWindows, Window
from trainer.prediction.frame_format import FrameFormat
from trainer.prediction.media_paths import named_paths
from trainer.prediction.stored_clips import ClipFile, StoredClip
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model

Lines = list[dict[str, Any]]

VIEW = FrameView(6)
VIEWS = [
    VIEW,
    FrameView(3, frame_step=4),
    FrameView(30),
    FrameView(5, SEGMENTS),
    FrameView(4, crop=(10, 20)),
]


def _answers(run: Path, *arguments: str | Path, name: str = "answers.jsonl") -> Lines:
    """What the program writes as JSON lines."""
    output = run.parent / name
    assert main([f"--model_dir={run}", f"--output={output}", "--input", *map(str, arguments)]) == 0
    return [json.loads(line) for line in output.read_text().splitlines()]


def _probabilities(lines: Lines) -> list[dict[str, float]]:
    return [{each["label"]: each["probability"] for each in line["top"]} for line in lines]


def _windows(file: ClipFile, windows: ClipWindows) -> list[Window]:
    return [window for each in file.clips() for window in windows.of(each)]


def _of_media(path: Path, to: FrameSettings, windows: ClipWindows) -> list[Window]:
    with Decoder() as decoder:
        return _windows(ClipMedia(str(path), to, decoder), windows)


def _of_records(data: Path, view: FrameView) -> dict[str, Any]:
    """The features of the test split, as a model is judged by them."""
    files = split_files(str(data), read_manifest(str(data)), "test").shown(replace(view, has_names=True))
    ((features, labels),) = sequential_batches(files, batch_size=files.num_sequences).as_numpy_iterator()
    return {**features, "label": labels[:, 0]}


def _shards(data: Path, split: str = "test") -> list[str]:
    return [str(data / shard.file) for shard in read_manifest(str(data)).splits[split].shards]


@pytest.mark.parametrize("view", VIEWS)
def test_a_file_is_shown_as_its_record(
    clip_source: Path, clip_data: Path, clip_run: Path, view: FrameView
) -> None:
    run = ClipRun.of(RunDirectory(str(clip_run)))
    assert run.view == VIEW
    assert run.form.preparation is not None
    records = _of_records(clip_data, view)
    for place, name in enumerate(records["clip"]):
        path = clip_source / name.decode()
        (window,) = _of_media(path, run.form.preparation, ClipWindows(view, run.form.fps))
        np.testing.assert_array_equal(window.frames, records["frames"][place])
        assert window.length == records["length"][place]


@pytest.mark.parametrize("view", VIEWS[:-1])
def test_a_record_is_shown_as_in_judging(clip_data: Path, gesture_data: Path, view: FrameView) -> None:
    from trainer.prediction.clip_records import ClipRecords

    for data in (clip_data, gesture_data):
        records = _of_records(data, view)
        (shard,) = _shards(data)
        windows = _windows(ClipRecords(shard, lambda *_: None), ClipWindows(view, None))
        np.testing.assert_array_equal([window.frames for window in windows], records["frames"])
        np.testing.assert_array_equal([window.length for window in windows], records["length"])
        np.testing.assert_array_equal([window.label for window in windows], records["label"])


def test_records_may_be_sequence_examples(
    tmp_path: Path, clip_source: Path, clip_data: Path, clip_run: Path
) -> None:
    data = make_clips(clip_source, tmp_path / "data", records="sequence_example")
    lines = [_answers(clip_run, *_shards(each)) for each in (data, clip_data)]
    assert [{**line, "file": ""} for line in lines[0]] == [{**line, "file": ""} for line in lines[1]]


def test_a_file_gets_the_very_probabilities_of_its_record(
    clip_source: Path, clip_data: Path, clip_run: Path
) -> None:
    of_records = _answers(clip_run, *_shards(clip_data), "--top_k=3")
    names = [name.decode() for name in _of_records(clip_data, VIEW)["clip"]]
    of_files = _answers(clip_run, *(clip_source / name for name in names), "--top_k=3")
    assert _probabilities(of_files) == _probabilities(of_records)
    assert [line["expected"] for line in of_records] == [name.partition("/")[0] for name in names]
    assert [line["index"] for line in of_records] == list(range(len(names)))
    assert [(line["start"], line["end"]) for line in of_files] == [
        (line["start"], line["end"]) for line in of_records
    ]
    assert len({line["probability"] for line in of_files}) == len(names) > 2
    records = _of_records(clip_data, VIEW)
    classifier = load_trained_model(RunDirectory(str(clip_run))).classifier
    called = classifier({name: records[name] for name in ("frames", "length")})
    found = [[each[name] for name in CLASSES] for each in _probabilities(of_files)]
    np.testing.assert_allclose(found, np.asarray(called), rtol=0, atol=1e-6)
    for line in of_files:
        assert sum(each["probability"] for each in line["top"]) == pytest.approx(1)
        assert line["top"][0] == {"label": line["label"], "probability": line["probability"]}


def test_windows_slide_over_a_whole_clip(clip_source: Path, clip_run: Path) -> None:
    path = clip_source / "wave" / "3.mp4"  # 20 frames, 8 a second.
    lines = _answers(clip_run, path, "--stride=5")
    times = [(line["start"], line["end"]) for line in lines]
    assert times == [(0, 0.75), (0.625, 1.375), (1.25, 2), (1.75, 2.5)]
    assert {line["file"] for line in lines} == {str(path)}
    assert len({line["probability"] for line in lines}) == len(lines)


@pytest.mark.parametrize(
    ("num_frames", "stride", "step", "firsts"),
    [
        (6, 2, 1, [0]),
        (3, 2, 1, [0]),
        (7, 2, 1, [0, 1]),
        (10, 2, 1, [0, 2, 4]),
        (11, 2, 1, [0, 2, 4, 5]),
        (10, 50, 1, [0, 4]),
        (13, 2, 2, [0, 2]),
        (5, 2, 2, [0]),
    ],
)
def test_where_windows_begin(
    tmp_path: Path, num_frames: int, stride: int, step: int, firsts: list[int]
) -> None:
    shown = np.arange(num_frames, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 4, 4, 1), np.uint8)
    np.save(tmp_path / "a.npy", shown)
    file = ClipArrays(str(tmp_path / "a.npy"), FrameFormat("some", (4, 4, 1), None))
    windows = _windows(file, ClipWindows(FrameView(6, frame_step=step), None, stride))
    assert [window.start for window in windows] == firsts
    for window in windows:
        numbers = window.frames[: window.length, 0, 0, 0]
        assert list(numbers) == list(range(int(window.start), int(window.end), step))
        assert window.length == min(6, -(-num_frames // step))
        assert not window.frames[window.length :].any()


def test_a_clip_of_another_rate_has_its_own_times() -> None:
    frame = np.zeros((4, 4, 1), np.uint8)
    windows = ClipWindows(FrameView(3), Fraction(8))
    for fps, end in ((None, 0.375), (Fraction(2), 1.5)):
        (window,) = windows.of(StoredClip("a", 0, 3, lambda number: frame, fps=fps))
        assert (window.start, window.end) == (0, end)


def test_a_long_clip_takes_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_media, "_MEMORY_BYTES", 2**16)
    path = tmp_path / "long.mp4"
    path.write_bytes(clip(0, 600))
    windows = ClipWindows(FrameView(4), Fraction(24), 50)
    tracemalloc.start()
    try:
        with Decoder() as decoder:
            file = ClipMedia(str(path), settings(fps=Fraction(24), encoding="png"), decoder)
            ends = [window.end for each in file.clips() for window in windows.of(each)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ends[-1] == 25
    assert len(ends) == 13
    stored = 600 * 4_000  # More than 4,000 bytes a frame.
    assert peak < stored / 2


def test_csv_has_the_best_classes_in_columns(clip_source: Path, clip_data: Path, clip_run: Path) -> None:
    inputs = [str(clip_source / "wave"), *_shards(clip_data)]
    lines = _answers(clip_run, *inputs, "--top_k=2")
    output = clip_run.parent / "answers.csv"
    assert main([f"--model_dir={clip_run}", f"--output={output}", "--top_k=2", "--input", *inputs]) == 0
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    assert list(rows[0]) == [
        *("file", "index", "start", "end", "label", "probability", "label_2", "probability_2", "expected")
    ]
    for row, line in zip(rows, lines, strict=True):
        for name in ("file", "index", "start", "end", "label", "probability", "expected"):
            assert row[name] == str(line.get(name, ""))
        second = line["top"][1]
        assert (row["label_2"], row["probability_2"]) == (second["label"], str(second["probability"]))


def test_folders_and_patterns_name_the_media_below(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a/2.mp4": b"",
            "a/10.GIF": b"",
            "a/deep/x.webm": b"",
            "a/deep/still.png": b"",
            "a/images/2.jpg": b"",
            "a/images/10.jpg": b"",
            "a/images/notes.txt": b"",
            "a/.hidden/x.mp4": b"",
            "a/.x.mp4": b"",
            "b[1].mp4": b"",
        },
    )
    a = tmp_path / "a"
    below = ["10.GIF", "2.mp4", "deep/still.png", "deep/x.webm", "images"]
    assert named_paths([str(a)]) == [str(a / name) for name in below]
    assert named_paths([f"{a}/images/"]) == [str(a / "images")]
    assert named_paths([f"{a}/images"], by_image=True) == [f"{a}/images/10.jpg", f"{a}/images/2.jpg"]
    assert named_paths([f"{tmp_path}/**/*.mp4"]) == [str(a / "2.mp4"), f"{tmp_path}/b[1].mp4"]
    assert named_paths([f"{tmp_path}/b[1].mp4", str(a / "2.mp4")])[0] == f"{tmp_path}/b[1].mp4"


def test_images_gifs_and_folders_of_images_are_clips(tmp_path: Path, clip_run: Path) -> None:
    pictures = [Image.fromarray(each) for each in frames(3, 7)]
    write(tmp_path, {"still.png": still(3)})
    (tmp_path / "frames").mkdir()
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "frames" / f"{number}.png")
    pictures[0].save(tmp_path / "moving.gif", save_all=True, append_images=pictures[1:], duration=125)
    lines = _answers(clip_run, tmp_path)
    assert [Path(line["file"]).name for line in lines] == ["frames", "moving.gif", "still.png"]
    assert [(line["start"], line["end"]) for line in lines] == [(0, 0.75), (0, 0.75), (0, 0.125)]


def test_arrays_are_shown_as_they_are_or_scaled_as_clips(tmp_path: Path) -> None:
    shown = frames(3, 7)
    (tmp_path / "frames").mkdir()
    for number, each in enumerate(shown):
        Image.fromarray(each).save(tmp_path / "frames" / f"{number}.png")
    windows = ClipWindows(VIEW, Fraction(8))
    for to in (settings(), settings(width=20, height=24, fit="crop"), settings(width=20, channels=1)):
        form = FrameFormat("clips", (to.height, to.width, to.channels), to)
        (expected,) = _of_media(tmp_path / "frames", to, windows)
        for name, values in (("one.npy", shown), ("two.npy", np.stack([shown, shown[::-1]]))):
            np.save(tmp_path / name, values)
            found = _windows(ClipArrays(str(tmp_path / name), form), windows)
            np.testing.assert_array_equal(found[0].frames, expected.frames)
            assert len(found) == (2 if name == "two.npy" else 1)
            assert [window.index for window in found] == list(range(len(found)))


def test_gray_arrays_become_colour(tmp_path: Path) -> None:
    gray = np.arange(6 * 48 * 64, dtype=np.uint32).astype(np.uint8).reshape(6, 48, 64, 1)
    np.savez_compressed(tmp_path / "a.npz", gray)
    form = FrameFormat("clips", (48, 64, 3), settings())
    (window,) = _windows(ClipArrays(str(tmp_path / "a.npz"), form), ClipWindows(VIEW, None))
    np.testing.assert_array_equal(window.frames, np.repeat(gray, 3, axis=3))


def test_a_run_of_ones_own_kind_takes_arrays_and_records(
    tmp_path: Path, gesture_run: Path, gesture_data: Path
) -> None:
    of_records = _answers(gesture_run, *_shards(gesture_data), "--top_k=3")
    definition_frames = [
        np.asarray(each["frames"])
        for each in map(_decoded(gesture_data), Dataset.open(str(gesture_data)).read("test", 0, 11))
    ]
    arrays = []
    for number, values in enumerate(definition_frames):
        np.save(tmp_path / f"{number}.npy", values)
        arrays.append(tmp_path / f"{number}.npy")
    of_arrays = _answers(gesture_run, *arrays, "--top_k=3")
    assert _probabilities(of_arrays) == _probabilities(of_records)
    assert [line["expected"] for line in of_records] == [CLASSES[number % 3] for number in range(11)]
    assert (of_records[10]["start"], of_records[10]["end"]) == (2, 8)  # In frames: there is no rate.


def _decoded(data: Path) -> Any:
    from pipeline.dataset.features import decode

    features = read_manifest(str(data)).features
    return lambda payload: decode(features, payload)


def test_records_may_be_compressed(tmp_path: Path, gesture_run: Path, gesture_data: Path) -> None:
    (shard,) = _shards(gesture_data)
    (tmp_path / "manifest.json").write_bytes((gesture_data / "manifest.json").read_bytes())
    (tmp_path / "x.tfrecord.gz").write_bytes(gzip.compress(Path(shard).read_bytes()))
    packed = _answers(gesture_run, tmp_path / "x.tfrecord.gz")
    assert [{**line, "file": shard} for line in packed] == _answers(gesture_run, shard)


def test_records_of_a_data_set_get_verdicts(
    clip_data: Path, clip_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = _answers(clip_run, *_shards(clip_data, "train"))
    capsys.readouterr()
    flags = [f"--model_dir={clip_run}", f"--data_dir={clip_data}", "--split=train", "--first=2"]
    assert main([*flags, "--num_sequences=4"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"Expected: {line['expected']}, Predicted: {line['label']} (probability {line['probability']:.4f})"
        for line in lines[2:6]
    ]


def test_pictures_of_files_have_the_verdicts(
    tmp_path: Path, clip_source: Path, clip_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "p.png"
    flags = [f"--model_dir={clip_run}", f"--output={picture}"]
    assert main([*flags, "--input", str(clip_source / "wave")]) == 0
    *verdicts, last = capsys.readouterr().out.splitlines()
    assert last == str(picture)
    assert [line.partition(": Predicted: ")[0] for line in verdicts] == [f"{n}.mp4" for n in range(4)]
    pixels = image.imread(picture)
    assert pixels.shape[0] > 4 * 100
    assert np.ptp(pixels[..., :3], axis=2).max() > 0.5  # In colour.


def test_records_move_in_a_picture(
    tmp_path: Path, clip_data: Path, clip_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "p.gif"
    assert main([f"--model_dir={clip_run}", f"--output={picture}", f"--data_dir={clip_data}"]) == 0
    verdict, last = capsys.readouterr().out.splitlines()
    assert verdict.startswith("Expected: ")
    assert last == str(picture)
    with Image.open(picture) as opened:
        assert getattr(opened, "n_frames", 1) > 1


def test_bad_files_are_skipped_by_request(
    tmp_path: Path, clip_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = clip(5, 30)
    write(tmp_path, {"a.mp4": good[: len(good) // 2], "b.mp4": good, "c.mp4": b"none", "d.mp4": good})
    with pytest.raises(RequestError, match=r"a\.mp4: "):
        _answers(clip_run, tmp_path)
    capsys.readouterr()
    lines = _answers(clip_run, tmp_path, "--on_bad_clip=skip", "--stride=1")
    assert {Path(line["file"]).name for line in lines} == {"b.mp4", "d.mp4"}
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("skipped")]
    assert len(told) == 3
    assert told[0].startswith(f"skipped {tmp_path}/a.mp4: ")
    assert told[1].startswith(f"skipped {tmp_path}/c.mp4: ")
    assert told[2] == "skipped 2 of 4 files"


def test_if_all_files_are_bad_nothing_is_written(tmp_path: Path, clip_run: Path) -> None:
    write(tmp_path, {"a.mp4": b"none"})
    output = tmp_path / "o.jsonl"
    flags = [f"--model_dir={clip_run}", f"--output={output}", "--on_bad_clip=skip"]
    with pytest.raises(WorkError, match="none of the files"):
        main([*flags, "--input", str(tmp_path / "a.mp4")])
    assert not output.exists()


def test_the_settings_of_the_training_count(tmp_path: Path, clip_source: Path, clip_run: Path) -> None:
    """Another step between frames, another rate and size."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "model.keras"):
        (run / name).write_bytes((clip_run / name).read_bytes())
    change_config(run, settings={"frame_step": 2})
    (line,) = _answers(run, clip_source / "wave" / "3.mp4")
    assert (line["start"], line["end"]) == (0.5, 1.875)  # Frames 4, 6, 8, 10, 12, 14.
    settings_of = json.loads((run / "config.json").read_text())["dataset"]["settings"]
    change_config(run, dataset={"settings": {**settings_of, "fps": 12.0, "fit": "pad"}})
    preparation = ClipRun.of(RunDirectory(str(run))).form.preparation
    assert preparation is not None
    assert (float(preparation.fps), preparation.fit, preparation.width) == (12, "pad", 32)


def test_lines_go_to_stdout(clip_source: Path, clip_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = clip_source / "wave" / "1.mp4"
    assert main([f"--model_dir={clip_run}", "--input", str(path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert list(json.loads(line)) == ["file", "start", "end", "label", "probability"]
