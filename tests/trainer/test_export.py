"""Exports, run in fresh processes that cannot import this project."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.directory_lock import locked
from pipeline.encodings import ENCODINGS
from pipeline.lines import draw_frames, sample_sequences
from pipeline.program import RequestError, WorkError
from pipeline.tfrecord import read_records
from tests.processes import environment
from trainer.export import FORMAT_NAMES, main
from trainer.exporting.formats import FORMATS
from trainer.run_directory import RunDirectory
from trainer.settings import TrainingSettings
from trainer.trained_model import load_trained_model
from trainer.training import train
from trainer.training_state import TrainingState

PATHS, LABELS = sample_sequences(9, "serving", 8, 0, 300)
FRAMES = draw_frames(PATHS, LABELS)

# What a user of an export has: arrays, and none of this project's packages.
ALONE = """
import sys
for name in ("pipeline", "model", "trainer"):
    sys.modules[name] = None
import numpy as np
given = dict(np.load(sys.argv[2], allow_pickle=False))
"""
TENSORFLOW = (
    ALONE
    + """
import tensorflow as tf
signatures = tf.saved_model.load(sys.argv[1]).signatures
answers = {
    "frames": signatures["serving_default"](frames=tf.constant(given["frames"])),
    "some": signatures["serving_default"](frames=tf.constant(given["frames"][:7, :5])),
    "paths": signatures["paths"](path=tf.constant(given["paths"]), label=tf.constant(given["labels"])),
    "examples": signatures["examples"](examples=tf.constant([bytes(row) for row in given["examples"]])),
}
answers = {name: answer["right"].numpy() for name, answer in answers.items()}
"""
)
ONNX = (
    ALONE
    + """
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
answers = {
    "frames": session.run(["right"], {"frames": given["frames"]})[0],
    "some": session.run(["right"], {"frames": given["frames"][:7, :5]})[0],
    "one": session.run(["right"], {"frames": given["frames"][:1]})[0],
}
assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in sys.modules)
"""
)
LITERT = (
    ALONE
    + """
from ai_edge_litert.interpreter import Interpreter
classify = Interpreter(sys.argv[1]).get_signature_runner()
answers = {
    "frames": classify(frames=given["frames"])["right"],
    "one": classify(frames=given["frames"][:1])["right"],
}
assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in sys.modules)
"""
)
USERS = {"saved_model": TENSORFLOW, "onnx": ONNX, "litert": LITERT}


def _use(script: str, export: Path, directory: Path) -> dict[str, np.ndarray]:
    examples = list(read_records(io.BytesIO(ENCODINGS["path"].encode(PATHS, LABELS))))
    np.savez(
        directory / "given.npz",
        frames=FRAMES,
        paths=PATHS,
        labels=LABELS.astype(np.uint8),
        examples=np.array([np.frombuffer(example, np.uint8) for example in examples]),
    )
    script += "np.savez(sys.argv[3], **answers)"
    command = [
        sys.executable,
        "-c",
        script,
        str(export),
        str(directory / "given.npz"),
        str(directory / "a.npz"),
    ]
    outside = {**environment(), "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=directory, env=outside, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(np.load(directory / "a.npz"))


def test_the_flag_knows_every_format() -> None:
    assert tuple(FORMATS) == FORMAT_NAMES == tuple(USERS)


@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_an_export_answers_as_the_model_does_without_this_project(
    tmp_path: Path, seeded_run: Path, format_name: str
) -> None:
    output = tmp_path / "exports"
    flags = [f"--model_dir={seeded_run}", f"--output_dir={output}", f"--format={format_name}"]
    command = [sys.executable, "-m", "trainer.export", *flags]
    # Whatever backend the environment asks for.
    done = subprocess.run(
        command,
        env=environment(KERAS_BACKEND="jax"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    name = FORMATS[format_name].name
    assert done.stdout.splitlines()[-1] == str(output / name)
    assert sorted(path.name for path in output.iterdir()) == sorted([f"export-{format_name}.json", name])
    document = json.loads((output / f"export-{format_name}.json").read_text())
    assert f"{document['largest_difference']:.1e}" in done.stdout
    assert document["largest_difference"] < 1e-5

    classifier = load_trained_model(RunDirectory(str(seeded_run))).classifier
    expected = np.asarray(classifier(FRAMES))
    assert expected.std() > 0.1
    early = np.asarray(classifier(FRAMES[:7, :5]))
    for given, answer in _use(USERS[format_name], output / name, tmp_path).items():
        wanted = early if given == "some" else expected[: len(answer)]
        assert answer.shape == wanted.shape
        np.testing.assert_allclose(answer, wanted, atol=1e-5, err_msg=given)


@pytest.mark.parametrize("format_name", FORMAT_NAMES)
@pytest.mark.parametrize(
    "image_size", [2, *(pytest.param(size, marks=pytest.mark.storm) for size in (3, 66))]
)
def test_every_size_is_exported(tmp_path: Path, format_name: str, image_size: int) -> None:
    run = _untrained_run(tmp_path / "run", image_size)
    assert main([f"--model_dir={run}", f"--output_dir={tmp_path / 'x'}", f"--format={format_name}"]) == 0


@pytest.mark.storm
def test_dots_are_drawn_for_a_model_that_saw_dots(tmp_path: Path, path_dataset_dir: Path) -> None:
    run, output = tmp_path / "run", tmp_path / "x"
    settings = TrainingSettings(
        epochs=1,
        steps_per_epoch=2,
        batch_size=16,
        line="dot",
        window=4,
        noise=0.1,
        precision="mixed_bfloat16",
    )
    train(settings, str(path_dataset_dir), str(run))
    assert main([f"--model_dir={run}", f"--output_dir={output}"]) == 0
    dots = np.diff(FRAMES, axis=1, prepend=0).astype(np.uint8)
    classifier = load_trained_model(RunDirectory(str(run))).classifier
    expected = np.asarray(classifier(dots), np.float32)
    answers = _use(TENSORFLOW, output / "saved_model", tmp_path)
    np.testing.assert_allclose(answers["paths"], expected, atol=0.02)
    np.testing.assert_allclose(answers["examples"], answers["paths"], atol=1e-6)


@pytest.mark.storm
def test_an_older_export_is_replaced(tmp_path: Path, run_dir: Path) -> None:
    for format_name in FORMAT_NAMES:
        flags = [f"--model_dir={run_dir}", f"--output_dir={tmp_path}", f"--format={format_name}"]
        assert main(flags) == 0
        marker = tmp_path / FORMATS[format_name].name
        before = marker.stat().st_ino
        assert main(flags) == 0
        assert marker.stat().st_ino != before
    assert len(list(tmp_path.iterdir())) == 6


def test_an_export_that_answers_otherwise_is_not_put_in_place(tmp_path: Path) -> None:
    # Weights of the right shapes in a network with another activation.
    run = _untrained_run(tmp_path / "run", 8, activation="tanh")
    for format_name in FORMAT_NAMES:
        with pytest.raises(WorkError, match="answers otherwise than the model, by up to 0"):
            main([f"--model_dir={run}", f"--output_dir={tmp_path / 'x'}", f"--format={format_name}"])
    assert not (tmp_path / "x").exists()


@pytest.mark.storm
def test_a_killed_export_leaves_the_old_one_and_is_cleaned_up(tmp_path: Path, run_dir: Path) -> None:
    output = tmp_path / "x"
    flags = [f"--model_dir={run_dir}", f"--output_dir={output}"]
    assert main(flags) == 0
    before = (output / "saved_model" / "saved_model.pb").read_bytes()
    job = subprocess.Popen([sys.executable, "-m", "trainer.export", *flags], env=environment())
    deadline = time.monotonic() + 60
    while not list(output.glob(".moving_line-export-*/saved_model")) and time.monotonic() < deadline:
        assert job.poll() is None
        time.sleep(0.005)
    os.kill(job.pid, signal.SIGKILL)
    job.wait(timeout=30)
    assert (output / "saved_model" / "saved_model.pb").read_bytes() == before
    assert list(output.glob(".moving_line-export-*"))
    # As if killed between the two renames that replace a directory.
    (left,) = output.glob(".moving_line-export-*")
    (output / "saved_model").rename(left / "replaced")
    with pytest.raises(WorkError), locked(str(output)):
        main(flags)
    assert main(flags) == 0
    assert (output / "saved_model" / "saved_model.pb").exists()
    assert not list(output.glob(".moving_line-export-*"))


@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_what_is_no_export_is_not_replaced(tmp_path: Path, run_dir: Path, format_name: str) -> None:
    mine = tmp_path / FORMATS[format_name].name / "precious.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    (tmp_path / ".moving_line-export-notes").write_text("a file")
    with pytest.raises(RequestError, match="is no export of this program; move it away"):
        main([f"--model_dir={run_dir}", f"--output_dir={tmp_path}", f"--format={format_name}"])
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--output_dir={tmp}/x", "--model_dir"),
        ("--model_dir={run}", "--output_dir"),
        ("--model_dir={run} --output_dir={tmp}/x --format=h5", "--format"),
        ("--model_dir={tmp}/no --output_dir={tmp}/x", "no such directory"),
        ("--model_dir={run} --output_dir={tmp}/file", "cannot be written"),
        ("--model_dir={run} --output_dir={tmp}/file/x", "cannot be written"),
    ],
)
def test_wrong_requests(tmp_path: Path, run_dir: Path, flags: str, named: str) -> None:
    (tmp_path / "file").write_text("something else")
    with pytest.raises(RequestError, match=named):
        main(flags.format(tmp=tmp_path, run=run_dir).split())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def _untrained_run(run: Path, size: int, activation: str = "relu") -> Path:
    layers = keras.layers
    frames = layers.Input((size, size, size, 1))
    hidden = layers.TimeDistributed(layers.Conv2D(2, 2, activation=activation))(frames)
    hidden = layers.TimeDistributed(layers.MaxPooling2D(2, padding="valid" if size > 2 else "same"))(hidden)
    hidden = layers.LSTM(50)(layers.TimeDistributed(layers.Flatten())(hidden))
    model = keras.Model(frames, layers.Dense(1, activation="sigmoid")(hidden))
    model.compile("adam")
    run.mkdir()
    model.save(run / "model.keras")
    with zipfile.ZipFile(run / "model.keras", "a") as archive:
        archive.writestr("training_state.json", TrainingState().to_json())
    return run
