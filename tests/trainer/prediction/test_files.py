"""Predicting sequences in files: arrays, GIFs and TFRecords; what is said of them, and of wrong ones."""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import CLASS_NAMES, draw_frames, sample_sequences
from pipeline.storage.tfrecord import frame_record
from tests.conftest import ROOT, Program
from tests.processes import environment
from trainer.predict import main
from trainer.prediction.array_files import ArrayFile
from trainer.prediction.sequence_files import open_sequence_files
from trainer.prediction.sequence_prediction import predict
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model

SIZE = 8
PATHS, LABELS = sample_sequences(11, "files", SIZE, 0, 70)
FRAMES = draw_frames(PATHS, LABELS)
GRAY = np.random.default_rng(0).random((70, 5, SIZE, SIZE, 1))  # Other numbers than 0 and 1, other timesteps.

Lines = list[dict[str, Any]]


def _answers(run: Path, *arguments: str | Path) -> Lines:
    """What the program writes as JSON lines."""
    output = Path(str(arguments[0])).parent / "answers.jsonl"
    flags = [f"--model_dir={run}", f"--output={output}", "--input", *map(str, arguments)]
    assert main(flags) == 0
    return _parsed(output.read_text())


def _parsed(text: str) -> Lines:
    return [json.loads(line) for line in text.splitlines()]


@lru_cache
def _classifier(run: Path) -> keras.Model:
    return load_trained_model(RunDirectory(str(run))).classifier


def _called(run: Path, frames: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """What the classifier says when it is called on all frames at once."""
    return np.asarray(_classifier(run)(frames.astype(np.float32)), np.float64)[:, 0]


def _right(lines: Lines) -> list[float]:
    return [line["probability_right"] for line in lines]


def _save_gif(path: Path, frames: npt.NDArray[Any], levels: tuple[int, int] = (0, 255)) -> Path:
    pictures = [
        Image.fromarray(np.where(frame[..., 0], levels[1], levels[0]).astype(np.uint8)) for frame in frames
    ]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    return path


def _save_records(path: Path, encoding: str, paths: Any = PATHS, labels: Any = LABELS) -> Path:
    path.write_bytes(ENCODINGS[encoding].encode(paths, labels))
    return path


@pytest.fixture(scope="module")
def run_dir(seeded_run: Path) -> Path:
    """A run whose answers are well apart from 0.5 and from one another on every machine."""
    return seeded_run


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *(("npy", dtype) for dtype in ("bool", "u1", "i8", ">u2", "f2", "<f4", ">f4", "f8", "g")),
        ("npz", "f4"),
        ("compressed", "f4"),
        ("compressed", "bool"),
    ],
)
def test_arrays_get_the_classifiers_answers(tmp_path: Path, run_dir: Path, kind: str, dtype: str) -> None:
    values = (GRAY if np.dtype(dtype).kind == "f" else FRAMES).astype(dtype)
    path = tmp_path / ("frames.npy" if kind == "npy" else "frames.npz")
    save: Callable[..., None] = {"npy": np.save, "npz": np.savez, "compressed": np.savez_compressed}[kind]
    save(path, values)
    lines = _answers(run_dir, path)
    right = _called(run_dir, values)
    np.testing.assert_allclose(_right(lines), right, rtol=0, atol=1e-6)
    for index, (line, probability) in enumerate(zip(lines, right, strict=True)):
        assert line == {
            "file": str(path),
            "index": index,
            "num_frames": values.shape[1],
            "predicted": CLASS_NAMES[int(probability > 0.5)],
            "probability_right": line["probability_right"],
        }


@pytest.mark.parametrize("encoding", ["path", pytest.param("frames", marks=pytest.mark.slow)])
def test_records_compressed_by_gzip_are_read_as_if_they_were_not(
    tmp_path: Path, run_dir: Path, encoding: str
) -> None:
    plain = _save_records(tmp_path / "plain.tfrecord", encoding)
    expected = _answers(run_dir, plain)
    for name in ("a.tfrecord.gz", "a.tfrecord"):
        with tf.io.TFRecordWriter(str(tmp_path / name), "GZIP") as writer:
            for record in tf.data.TFRecordDataset(str(plain)).as_numpy_iterator():
                writer.write(record)
        lines = _answers(run_dir, tmp_path / name)
        assert lines == [{**line, "file": str(tmp_path / name)} for line in expected]


def test_a_length_that_begins_as_a_compressed_file_does_is_none(tmp_path: Path) -> None:
    """Of a record, the first byte of its length is where gzip and zlib have their mark."""
    for size in (0x8B1F, 0x088B1F, 0x0178):
        (tmp_path / "a.tfrecord").write_bytes(frame_record(bytes(size)))
        with pytest.raises(RequestError, match="record 0: "):
            open_sequence_files([str(tmp_path / "a.tfrecord")])


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_batches_have_no_influence(tmp_path: Path, run_dir: Path, batch_size: int) -> None:
    np.save(tmp_path / "a.npy", GRAY)
    lines = _answers(run_dir, tmp_path / "a.npy", f"--batch_size={batch_size}")
    np.testing.assert_allclose(_right(lines), _called(run_dir, GRAY), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ((70, 5, SIZE, SIZE, 1), 70),
        ((70, 5, SIZE, SIZE), 70),
        ((350, SIZE, SIZE, 1), 1),
        ((350, SIZE, SIZE), 1),
        ((350, 1, SIZE, SIZE), 350),
    ],
)
def test_shapes(tmp_path: Path, run_dir: Path, shape: tuple[int, ...], count: int) -> None:
    np.save(tmp_path / "a.npy", GRAY.reshape(shape))
    lines = _answers(run_dir, tmp_path / "a.npy")
    frames = GRAY.reshape(count, -1, SIZE, SIZE, 1)
    assert [line["num_frames"] for line in lines] == [frames.shape[1]] * count
    np.testing.assert_allclose(_right(lines), _called(run_dir, frames), rtol=0, atol=1e-6)


def test_an_archive_is_read_at_the_member_frames(tmp_path: Path, run_dir: Path) -> None:
    np.savez(tmp_path / "a.npz", before=np.zeros(3), frames=GRAY[:4], zzz=np.array(["text"]))
    lines = _answers(run_dir, tmp_path / "a.npz")
    np.testing.assert_allclose(_right(lines), _called(run_dir, GRAY[:4]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("levels", "seen"), [((0, 255), 1), ((127, 128), 1), ((0, 127), 0), ((30, 90), 0)])
def test_gifs_are_black_and_white(tmp_path: Path, run_dir: Path, levels: tuple[int, int], seen: int) -> None:
    gifs = [_save_gif(tmp_path / f"{i}.gif", FRAMES[i], levels) for i in range(6)]
    lines = _answers(run_dir, *gifs)
    assert [(line["file"], line["index"]) for line in lines] == [(str(gif), 0) for gif in gifs]
    assert [line["num_frames"] for line in lines] == [SIZE] * 6
    np.testing.assert_allclose(_right(lines), _called(run_dir, FRAMES[:6] * seen), rtol=0, atol=1e-6)


def test_a_gif_in_color_with_pictures_of_parts(tmp_path: Path, run_dir: Path) -> None:
    gray = FRAMES[0, :, :, :, 0] * 200
    pictures = [Image.fromarray(np.stack([frame, frame, frame // 2], axis=-1)) for frame in gray]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], optimize=True, disposal=1)
    (line,) = _answers(run_dir, tmp_path / "a.gif")
    assert line["probability_right"] == pytest.approx(_called(run_dir, FRAMES[:1])[0], abs=1e-6)


def test_shards_of_both_encodings_say_what_was_expected(
    tmp_path: Path, run_dir: Path, dataset_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = sorted(dataset_dir.glob("*test.tfrecord*"))
    assert main([f"--model_dir={run_dir}", "--input", *map(str, shards)]) == 0
    lines = _parsed(capsys.readouterr().out)
    paths, labels = sample_sequences(3, "test", SIZE, 0, 150)
    assert [line["expected"] for line in lines] == [CLASS_NAMES[label] for label in labels]
    assert {line["num_frames"] for line in lines} == {SIZE}
    assert list(dict.fromkeys(line["file"] for line in lines)) == [str(shard) for shard in shards]
    assert [line["index"] for line in lines if line["file"] == str(shards[1])] == list(range(9))
    np.testing.assert_allclose(_right(lines), _called(run_dir, draw_frames(paths, labels)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_records_are_seen_as_in_training(tmp_path: Path, run_dir: Path, encoding: str) -> None:
    observed = tmp_path / "run"
    observed.mkdir()
    (observed / "model.keras").write_bytes((run_dir / "model.keras").read_bytes())
    config = json.loads((run_dir / "config.json").read_text())
    config["settings"] |= {"line": "dot", "window": 3, "noise": 0.1}
    (observed / "config.json").write_text(json.dumps(config))
    predictions = predict(str(observed), 70, 0, seed=5)
    records = _save_records(tmp_path / "a.tfrecord", encoding, *sample_sequences(5, "predict", SIZE, 0, 70))
    np.save(tmp_path / "seen.npy", predictions.frames)
    of_records = _answers(observed, records, "--batch_size=9")
    np.testing.assert_allclose(_right(of_records), predictions.right, rtol=0, atol=1e-6)
    # An array is shown as it is, so what was observed once is not observed again.
    of_arrays = _answers(observed, tmp_path / "seen.npy")
    np.testing.assert_allclose(_right(of_arrays), predictions.right, rtol=0, atol=1e-6)
    assert [line["num_frames"] for line in (of_records[0], of_arrays[0])] == [SIZE, 3]


def test_answers_come_in_the_order_of_the_files(tmp_path: Path, run_dir: Path) -> None:
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "b.npy", FRAMES[:3])
    with (tmp_path / "deep" / "c.NPY").open("wb") as stream:
        np.save(stream, GRAY[:2])
    files = [
        _save_gif(tmp_path / "z.gif", FRAMES[9]),
        tmp_path / "b.npy",
        _save_records(tmp_path / "a.tfrecord-00000-of-00001", "frames", PATHS[4:6], LABELS[4:6]),
        tmp_path / "deep" / "c.NPY",
        _save_gif(tmp_path / "y.gif", FRAMES[8]),
        tmp_path / "b.npy",
    ]
    lines = _answers(run_dir, *files, "--batch_size=2")
    counts = [1, 3, 2, 2, 1, 3]
    expected = [(str(file), i) for file, count in zip(files, counts, strict=True) for i in range(count)]
    assert [(line["file"], line["index"]) for line in lines] == expected
    right = [
        *_called(run_dir, FRAMES[[9, 0, 1, 2, 4, 5]]),
        *_called(run_dir, GRAY[:2]),
        *_called(run_dir, FRAMES[[8, 0, 1, 2]]),
    ]
    np.testing.assert_allclose(_right(lines), right, rtol=0, atol=1e-6)
    assert ["expected" in line for line in lines] == [file == str(files[2]) for file, _ in expected]


def test_several_input_flags_add_up(
    tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", FRAMES[:1])
    flags = [f"--input={tmp_path / 'a.npy'}", f"--input={tmp_path / 'b.npy'}"]
    assert main([f"--model_dir={run_dir}", *flags]) == 0
    assert [Path(line["file"]).name for line in _parsed(capsys.readouterr().out)] == ["a.npy", "b.npy"]


def test_csv_says_what_json_lines_say(tmp_path: Path, run_dir: Path) -> None:
    odd = os.fsdecode(b'odd "name", \xff\n.npy')
    np.save(tmp_path / odd, FRAMES)
    records = _save_records(tmp_path / "a.tfrecord", "path")
    lines = _answers(run_dir, records, tmp_path / odd)
    output = tmp_path / "answers.csv"
    flags = [f"--model_dir={run_dir}", f"--output={output}", "--input", str(records), str(tmp_path / odd)]
    assert main(flags) == 0
    text = output.read_text(encoding="utf-8", errors="surrogateescape")
    assert text.startswith("file,index,num_frames,predicted,probability_right,expected\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert rows == [{name: str(line.get(name, "")) for name in rows[0]} for line in lines]
    assert {Path(row["file"]).name for row in rows} == {"a.tfrecord", odd}


@pytest.mark.slow
def test_stdout_has_only_lines(tmp_path: Path, run_dir: Path, program: Program) -> None:
    np.save(tmp_path / "a.npy", FRAMES)
    done = program("trainer.predict", f"--model_dir={run_dir}", "--input", tmp_path / "a.npy")
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(_right(_parsed(done.stdout)), _called(run_dir, FRAMES), rtol=0, atol=1e-6)
    assert done.stderr.startswith("predicting: 70 of 70 sequences")


def _start(*arguments: str | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "trainer.predict", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=pipe, stderr=pipe, text=True)


@pytest.mark.storm
def test_lines_come_before_all_is_read(tmp_path: Path, run_dir: Path) -> None:
    bad = np.concatenate([FRAMES, FRAMES * 255])
    np.save(tmp_path / "a.npy", bad)
    process = _start(f"--model_dir={run_dir}", "--batch_size=10", "--input", tmp_path / "a.npy")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 2
    assert [line["index"] for line in _parsed(out)] == list(range(70))
    assert err == (
        f"trainer.predict: error: {tmp_path}/a.npy: sequence 70 has values from 0 to 255,"
        " expected 0 to 1; divide by 255\n"
    )


@pytest.mark.storm
def test_a_reader_that_has_seen_enough(tmp_path: Path, run_dir: Path) -> None:
    np.save(tmp_path / "a.npy", np.tile(FRAMES, (40, 1, 1, 1, 1)))
    process = _start(f"--model_dir={run_dir}", "--batch_size=1", "--input", tmp_path / "a.npy")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["index"] == 0
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=240) == 1
    assert err == "trainer.predict: error: stdout takes no more lines (Broken pipe)\n"


def test_answers_that_are_no_numbers(tmp_path: Path, run_dir: Path) -> None:
    classifier = load_trained_model(RunDirectory(str(run_dir))).classifier
    classifier.set_weights([np.full_like(weight, np.nan) for weight in classifier.get_weights()])
    diverged = tmp_path / "run" / "model.keras"
    diverged.parent.mkdir()
    classifier.save(diverged)
    with zipfile.ZipFile(run_dir / "model.keras") as whole, zipfile.ZipFile(diverged, "a") as archive:
        archive.writestr("training_state.json", whole.read("training_state.json"))
    np.save(tmp_path / "a.npy", FRAMES)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WorkError, match="not finite"):
        _answers(diverged.parent, tmp_path / "a.npy")
    assert sorted(tmp_path.iterdir()) == before


_MEASURED = """
import sys
from trainer.predict import main
assert main(sys.argv[1:]) == 0
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(peak.split()[1])
"""


def _peak_kib(run: Path, path: Path) -> int:
    """Peak memory of a process that predicts a file."""
    flags = [f"--model_dir={run}", "--input", str(path), f"--output={path}.jsonl"]
    command = [sys.executable, "-c", _MEASURED, *flags]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240, check=True
    )
    assert len(Path(f"{path}.jsonl").read_text().splitlines()) == ArrayFile(str(path)).num_sequences
    return int(done.stdout.split()[-1])


@pytest.mark.storm
def test_memory_does_not_grow_with_the_number_of_sequences(tmp_path: Path, run_dir: Path) -> None:
    peaks = []
    for count in (2_000, 40_000):
        array = np.tile(FRAMES.astype(np.float32), (count // 70 + 1, 1, 1, 1, 1))[:count]
        np.savez_compressed(tmp_path / f"{count}.npz", frames=array)
        peaks.append(_peak_kib(run_dir, tmp_path / f"{count}.npz"))
    # The larger array has 78 MiB.
    assert peaks[1] - peaks[0] < 25 * 1024
