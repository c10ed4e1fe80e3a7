"""Files that cannot be predicted get one line that names them, and nothing is written; and the memory."""

import gzip
import io
import os
import re
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.command_line.errors import RequestError
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import draw_frames, sample_sequences
from pipeline.storage.tf_example import encode_example
from pipeline.storage.tfrecord import frame_record
from tests.conftest import Program
from trainer.predict import main
from trainer.prediction.sequence_files import open_sequence_files

SIZE = 8
PATHS, LABELS = sample_sequences(11, "files", SIZE, 0, 70)
FRAMES = draw_frames(PATHS, LABELS)


class _Opened:
    """What unpickling would do is seen."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("unpickled",))


def _npy(array: Any, **header: Any) -> bytes:
    """A ``.npy`` file, with another header if so wished."""
    stream = io.BytesIO()
    np.save(stream, array)
    if not header:
        return stream.getvalue()
    values = stream.getvalue()[-array.nbytes :]
    stream = io.BytesIO()
    plain = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(stream, {**plain, **header})
    return stream.getvalue() + values


def _npz(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def _gif(frames: Any) -> bytes:
    stream = io.BytesIO()
    pictures = [Image.fromarray(frame[..., 0] * np.uint8(255)) for frame in frames]
    pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:])
    return stream.getvalue()


def _changed(values: Any, place: tuple[int, ...], value: float) -> Any:
    values = values.copy()
    values[place] = value
    return values


def _flipped(content: bytes, place: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 0x55
    return bytes(changed)


NPY, NPZ, GIF = _npy(FRAMES), _npz(frames=_npy(FRAMES)), _gif(FRAMES[0])
RECORDS, LARGE = ENCODINGS["path"].encode(PATHS, LABELS), sample_sequences(0, "files", 9, 0, 5)
WIDE = sample_sequences(0, "files", 256, 0, 70)
GZIPPED = gzip.compress(RECORDS, mtime=0)
FLOATS = FRAMES.astype(np.float32)
OBJECTS = np.array([_Opened()] * 64, object).reshape(1, 1, SIZE, SIZE)
OTHER = frame_record(encode_example({"image": b"abc", "label": 1}))
BOTH = frame_record(encode_example({"path": b"abc", "frames": b"abc", "label": 1}))
TEXT = b"left or right?"

# What is wrong before a model is looked for.
UNFIT: list[tuple[str, bytes, str]] = [
    ("a.png", TEXT, "name files that end in .npy, .npz or .gif, or TFRecords"),
    ("npy", TEXT, "name files that end in"),
    ("a.npy", b"", "is not a .npy array"),
    ("a.npy", TEXT, "is not a .npy array"),
    ("a.npy", NPZ, "is not a .npy array"),
    ("a.npy", NPY[:50], "damaged header"),
    ("a.npy", NPY[:-1], r"has \d+ bytes, its header says \d+"),
    ("a.npy", NPY + b"\0", r"has \d+ bytes, its header says \d+"),
    ("a.npy", NPY.replace(b"'descr'", b"'d[((('"), "damaged header"),
    ("a.npy", b"\x93NUMPY\x01\x00\xd0\x07" + b"(" * 2000, "damaged header"),
    ("a.npy", b"\x93NUMPY\x03\x00" + NPY[8:], r"format \(3, 0\)"),
    ("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + NPY[10:], r"damaged header .*2147483647 bytes"),
    ("a.npy", _npy(FRAMES, shape=(-70, -8, 8, 8)), "shape"),
    ("a.npy", _npy(FRAMES, shape=(2**62, 2**62, 8, 8)), "its header says"),
    ("a.npy", _npy(OBJECTS), "pickled Python objects, which are never loaded"),
    ("a.npy", _npy(FRAMES.astype(complex)), "complex128"),
    ("a.npy", _npy(FRAMES.astype("S1")), r"type \|S1"),
    ("a.npy", _npy(FRAMES.astype("M8[s]")), "datetime64"),
    ("a.npy", _npy(np.zeros((2, 1, 8, 8), [("x", "u1"), ("y", "f4")])), "expected bool, integers or floats"),
    ("a.npy", _npy(np.asfortranarray(FRAMES)), r"Fortran order.*save np.ascontiguousarray\(x\)"),
    ("a.npy", _npy(FRAMES[:0]), "holds no sequences"),
    ("a.npy", _npy(FRAMES[:, :0]), "holds no frames"),
    ("a.npy", _npy(FRAMES[..., :0, :, :]), "shape"),
    ("a.npy", _npy(np.zeros(64)), r"shape \(64,\), expected \(n, T, S, S, 1\)"),
    ("a.npy", _npy(np.float32(1)), r"shape \(\)"),
    ("a.npy", _npy(FRAMES[0, 0, :, :, 0]), r"shape \(8, 8\)"),
    ("a.npy", _npy(np.zeros((3, 8, 8, 8, 3))), r"shape \(3, 8, 8, 8, 3\)"),
    ("a.npy", _npy(np.zeros((3, 8, 8, 7))), r"shape \(3, 8, 8, 7\)"),
    ("a.npy", _npy(FRAMES[None]), r"shape \(1, 70, 8, 8, 8, 1\)"),
    ("a.npz", TEXT, "zip"),
    ("a.npz", NPY, "zip"),
    ("a.npz", NPZ[:-30], "zip"),
    ("a.npz", _npz(), "holds no arrays"),
    ("a.npz", _npz(x=NPY, y=NPY), "holds the arrays x, y; name the one to predict 'frames'"),
    (
        "a.npz",
        _npz(zipfile.ZIP_STORED, **{f"array_{i}": NPY for i in range(20)}),
        r"array_15, \.\.\.; name the one",
    ),
    ("a.npz", _npz(zipfile.ZIP_LZMA, frames=NPY), "compressed by another method"),
    ("a.npz", _npz(frames=_npy(OBJECTS)), "pickled Python objects"),
    ("a.npz", _npz(frames=NPY[:-64]), "its header says"),
    ("a.npz", _npz(frames=TEXT), "is not a .npy array"),
    ("a.gif", b"", "is not a GIF"),
    ("a.gif", TEXT, "is not a GIF"),
    ("a.gif", GIF[:6], "holds no pictures|ends too early"),
    ("a.gif", GIF[:-1], "ends too early"),
    ("a.gif", GIF[: len(GIF) // 2], "ends too early"),
    ("a.gif", GIF[:13] + b";", "ends too early|holds no pictures"),
    ("a.gif", b"GIF89a\x08\0\x08\0\0\0\0;", "holds no pictures"),
    ("a.gif", b"GIF89a\x08\0\x08\0\0\0\0\x07;", "is damaged at byte 13"),
    ("a.tfrecord", b"", "holds no sequences"),
    ("a.tfrecord", TEXT, "record 0 at byte 0: the length's checksum"),
    ("a.tfrecord-00001-of-00002", _flipped(RECORDS, 20), "record 0 at byte 0: the payload's checksum"),
    ("a.tfrecord", frame_record(b""), "record 0: features .*expected 'path' or '"),
    ("a.tfrecord", frame_record(TEXT), "record 0: "),
    ("a.tfrecord", OTHER, r"record 0: features \['image', 'label'\]"),
    ("a.tfrecord", zlib.compress(RECORDS), "is compressed by zlib, which is not read; compress it by gzip"),
    ("a.tfrecord", zlib.compress(RECORDS, 0), "is compressed by zlib"),
    ("a.tfrecord.gz", GZIPPED[:20], "Compressed file ended before the end-of-stream marker"),
    ("a.tfrecord", _flipped(GZIPPED, 3), "."),
    ("a.tfrecord.gz", gzip.compress(b"", mtime=0), "holds no sequences"),
    (
        "a.tfrecord.gz",
        gzip.compress(_flipped(RECORDS, 20), mtime=0),
        "record 0 at byte 0: the payload's checksum",
    ),
]

# What is wrong once the model's image size is known, but before anything is predicted.
OF_ANOTHER_SIZE: list[tuple[str, bytes, str]] = [
    ("a.npy", _npy(np.zeros((2, 5, 9, 9, 1))), "frames of 9 x 9 pixels, the model was trained on .* size 8"),
    ("a.npz", _npz(x=_npy(np.zeros((5, 7, 7)))), "frames of 7 x 7 pixels"),
    ("a.gif", _gif(draw_frames(*LARGE)[0]), "frames of 9 x 9 pixels"),
    ("a.gif", _gif(FRAMES[0, :, :, :5]), "frames of 8 x 5 pixels"),
    ("a.tfrecord", ENCODINGS["path"].encode(*LARGE), "record 0: a path of 9 bytes, expected 8"),
    ("a.tfrecord", ENCODINGS["frames"].encode(*LARGE), "record 0: frames of more than the expected 512"),
    ("a.tfrecord", BOTH, r"record 0: features \['frames', 'label', 'path'\]"),
]

# What only reading all of it shows.
LATE: list[tuple[str, bytes, str]] = [
    ("a.npy", _npy(FRAMES * 255), "sequence 0 has values from 0 to 255, expected 0 to 1; divide by 255$"),
    (
        "a.npy",
        _npy(_changed(FRAMES, (69, 7, 7, 7, 0), 2)),
        "sequence 69 has values from 0 to 2, expected 0 to 1$",
    ),
    (
        "a.npy",
        _npy(_changed(FLOATS, (3, 0, 0, 0, 0), -1)),
        "sequence 3 has values from -1.0 to 1.0, .* to 1$",
    ),
    ("a.npy", _npy(_changed(FLOATS, (3, 0, 0, 0, 0), 1.0001)), "values from 0.0 to 1.0001"),
    ("a.npy", _npy(_changed(FLOATS, (66, 0, 0, 0, 0), np.nan)), "sequence 66 has values that are not finite"),
    ("a.npy", _npy(_changed(FLOATS, (1, 0, 0, 0, 0), np.inf)), "sequence 1 has values that are not finite"),
    ("a.npy", _npy(FRAMES + np.int64(2**40)), "sequence 0 has values from 1099511627776"),
    ("a.npy", _flipped(_npy(FRAMES.astype(bool)), -1), "sequence 69 has values from 0 to"),
    ("a.npz", _flipped(NPZ, len(NPZ) // 2), "."),
    ("a.npz", _flipped(_npz(zipfile.ZIP_STORED, x=NPY), -200), "CRC"),
    ("a.npz", _npz(frames=_npy(FRAMES * 3)), "sequence 0 has values from 0 to 3"),
    ("a.gif", _flipped(GIF, GIF.index(b",") + 12), "picture|truncated|broken"),
    ("a.tfrecord", GZIPPED[:-1], "Compressed file ended before the end-of-stream marker"),
    ("a.tfrecord.gz", _flipped(GZIPPED, -6), "CRC check failed"),
    ("a.tfrecord.gz", GZIPPED + TEXT, "Not a gzipped file"),
    (
        "a.tfrecord",
        gzip.compress(RECORDS[:-1], mtime=0),
        "record 69 at byte .*: the file ends inside the record",
    ),
    ("a.tfrecord", RECORDS[:-1], "record 69 at byte .*: the file ends inside the record"),
    ("a.tfrecord", _flipped(RECORDS, -20), "record 69 at byte .*: the payload's checksum"),
    (
        "a.tfrecord",
        RECORDS + OTHER,
        r"record 70: features \['image', 'label'\], expected \['path', 'label'\]",
    ),
    ("a.tfrecord", RECORDS + ENCODINGS["path"].encode(*LARGE), "record 70: a path of 9 bytes, expected 8"),
    ("a.tfrecord", RECORDS + ENCODINGS["frames"].encode(PATHS, LABELS), "record 70: features"),
]


def _refused(run: Path, files: list[Path], output: Path) -> str:
    """The line that a wrong file gets; nothing else happens."""
    output.write_text("old")
    before = sorted(output.parent.iterdir())
    with pytest.raises(RequestError) as caught:
        main([f"--model_dir={run}", f"--output={output}", "--input", *map(str, files)])
    assert output.read_text() == "old"
    assert sorted(output.parent.iterdir()) == before
    message = str(caught.value)
    assert message.removeprefix("--input ").startswith(f"{files[-1]}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "content", "named"), UNFIT)
def test_files_that_are_refused_before_a_model_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.npy").write_bytes(NPY)
    (tmp_path / name).write_bytes(content)
    files = [tmp_path / "good.npy", tmp_path / name]
    message = _refused(tmp_path / "no model", files, tmp_path / "answers.csv")
    assert re.search(named, message), message


@pytest.mark.parametrize(("name", "content", "named"), OF_ANOTHER_SIZE + LATE)
def test_files_that_fail_later(tmp_path: Path, run_dir: Path, name: str, content: bytes, named: str) -> None:
    (tmp_path / "good.npy").write_bytes(NPY)
    (tmp_path / name).write_bytes(content)
    message = _refused(run_dir, [tmp_path / "good.npy", tmp_path / name], tmp_path / "answers.jsonl")
    assert re.search(named, message), message


@pytest.mark.parametrize(("name", "content", "named"), OF_ANOTHER_SIZE)
def test_another_size_is_refused_before_the_first_answer(
    tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, named: str
) -> None:
    (tmp_path / "good.npy").write_bytes(NPY)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=named):
        main([f"--model_dir={run_dir}", "--input", str(tmp_path / "good.npy"), str(tmp_path / name)])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "content"), [("a.npy", NPY), ("a.npz", NPZ), ("a.gif", GIF), ("a.tfrecord", RECORDS)]
)
@pytest.mark.parametrize("change", ["removed", "shorter", "another"])
def test_a_file_that_changes_is_refused(tmp_path: Path, name: str, content: bytes, change: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (file,) = open_sequence_files([str(path)])
    others = {
        "a.npy": _npy(FRAMES[:9]),
        "a.npz": _npz(frames=_npy(FRAMES[:9])),
        "a.gif": _gif(FRAMES[0, :5]),
        "a.tfrecord": b"",
    }
    if change == "removed":
        path.unlink()
    else:
        path.write_bytes(content[:-40] if change == "shorter" else others[name])
    with pytest.raises(RequestError, match=re.escape(str(path))):
        list(file.sequences(SIZE))


def _error_of(path: Path) -> RequestError | None:
    """Why a file is refused; None if it is read to its end."""
    try:
        (file,) = open_sequence_files([str(path)])
        file.check(SIZE)
        for sequence in file.sequences(SIZE):
            assert set(np.unique(sequence.features.get("frames", np.zeros(1)))) <= {0, 1}
    except RequestError as error:
        return error
    return None


def test_compressed_records_are_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    path, content = tmp_path / "a.tfrecord.gz", ENCODINGS["path"].encode(*WIDE) * 100
    path.write_bytes(gzip.compress(content))
    tracemalloc.start()
    try:
        (file,) = open_sequence_files([str(path)])
        assert sum(1 for _ in file.sequences(256)) == 7000
        assert tracemalloc.get_traced_memory()[1] < len(content) / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.gif", "a.tfrecord", "a.tfrecord.gz"])
def test_damage_anywhere_is_an_answer_or_a_line(tmp_path: Path, name: str) -> None:
    """Every byte flipped once: the file is refused by name, or read to its end."""
    few = FRAMES[:2]
    paths, labels = PATHS[:2], LABELS[:2]
    content = {
        "a.npy": _npy(few),
        "a.npz": _npz(frames=_npy(few)),
        "a.gif": GIF,
        "a.tfrecord": ENCODINGS["frames"].encode(paths, labels),
        "a.tfrecord.gz": gzip.compress(ENCODINGS["frames"].encode(paths, labels)),
    }[name]
    path = tmp_path / name
    refused = 0
    for place in range(len(content)):
        path.write_bytes(_flipped(content, place))
        if (error := _error_of(path)) is not None:
            assert str(error).startswith(f"{path}: ")
            refused += 1
    assert refused > len(content) / 2 or name == "a.gif"
    assert refused == len(content) or name != "a.tfrecord"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--data_dir=d", "--input brings its own sequences; leave --data_dir out"),
        ("--split=test", "leave --split out"),
        ("--seed=0", "leave --seed out"),
        ("--first=0", "leave --first out"),
        ("--num_sequences=1", "leave --num_sequences out"),
        ("--seed=1 --first=2", "leave --seed, --first out"),
        ("--batch_size=0", "--batch_size"),
        ("--output={tmp}/line.png", "line.png: with --input, name a file that ends in .jsonl or .csv"),
        ("--output={tmp}/answers", "ends in .jsonl or .csv"),
        ("--output={tmp}/.jsonl", "ends in .jsonl or .csv"),
        ("--output={tmp}/no/a.csv", "name a file in a directory that is there"),
        ("--output={tmp}/directory.csv", "name a file in a directory that is there"),
        ("--output=/proc/a.csv", "cannot be written"),
        ("--input", "--input"),
        ("--input=", "--input"),
        ("--input={tmp}/no.npy", "no.npy: no such file"),
        ("--input={tmp}/directory.npy", "directory.npy: is not a file"),
        ("--device=gpu", "sees no GPU"),
    ],
)
def test_wrong_requests(tmp_path: Path, run_dir: Path, flags: str, named: str) -> None:
    (tmp_path / "good.npy").write_bytes(NPY)
    (tmp_path / "directory.npy").mkdir()
    (tmp_path / "directory.csv").mkdir()
    before = sorted(tmp_path.iterdir())
    more = flags.format(tmp=tmp_path).split()
    with pytest.raises(RequestError, match=named):
        main([f"--model_dir={run_dir}", "--input", str(tmp_path / "good.npy"), *more])
    assert sorted(tmp_path.iterdir()) == before


def test_the_batch_size_is_of_files(run_dir: Path) -> None:
    with pytest.raises(RequestError, match="--batch_size is of --input"):
        main([f"--model_dir={run_dir}", "--batch_size=3"])


def test_a_wrong_file_ends_the_program_with_one_line(tmp_path: Path, run_dir: Path, program: Program) -> None:
    path = tmp_path / "a.npy"
    np.save(path, FRAMES[:, :, :, :7])
    done = program("trainer.predict", f"--model_dir={run_dir}", "--input", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"trainer.predict: error: {path}: has shape (70, 8, 8, 7, 1), expected")
    assert done.stderr.count("\n") == 1


# Not getrusage, whose peak begins with that of the process which started this one.
