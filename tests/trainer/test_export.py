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
import onnx
import onnxruntime
import pytest
import tensorflow as tf

from model import ARCHITECTURES, build_classifier
from pipeline.command_line.errors import RequestError, WorkError
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import draw_frames, sample_sequences
from pipeline.storage.directory_lock import locked
from pipeline.storage.tfrecord import read_records
from tests.processes import environment
from tests.runs import MULTIPLIES_BFLOAT16, weights_of_a_seed
from trainer.export import FORMAT_NAMES, main
from trainer.exporting.formats import EXPORT_FORMATS
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.training.loop import train
from trainer.training.settings import TrainingSettings
from trainer.training.training_state import TrainingState

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
(frames,), (right,) = session.get_inputs(), session.get_outputs()
assert (frames.name, frames.type) == ("frames", "tensor(uint8)")
assert (right.name, right.type) == ("right", "tensor(float)")
assert (frames.shape, right.shape) == (["batch", "timesteps", 8, 8, 1], ["batch", 1])
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
(frames,), (right,) = classify.get_input_details().values(), classify.get_output_details().values()
assert frames["dtype"] is np.uint8 and list(frames["shape_signature"]) == [-1, 8, 8, 8, 1]
assert right["dtype"] is np.float32 and list(right["shape_signature"]) == [-1, 1]
answers = {
    "frames": classify(frames=given["frames"])["right"],
    "one": classify(frames=given["frames"][:1])["right"],
}
assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in sys.modules)
"""
)
SLOW_BUT_FIRST = pytest.mark.parametrize(
    "format_name",
    [FORMAT_NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in FORMAT_NAMES[1:])],
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
    assert tuple(EXPORT_FORMATS) == FORMAT_NAMES == tuple(USERS)


@pytest.mark.slow
@SLOW_BUT_FIRST
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
    name = EXPORT_FORMATS[format_name].name
    assert done.stdout.splitlines()[-1] == str(output / name)
    assert sorted(path.name for path in output.iterdir()) == sorted([f"export-{format_name}.json", name])
    document = json.loads((output / f"export-{format_name}.json").read_text())
    assert f"{document['largest_difference']:.1e}" in done.stdout
    assert document["largest_difference"] < 1e-5

    classifier = load_trained_model(RunDirectory(str(seeded_run))).classifier
    _check_answers(format_name, output / name, tmp_path, classifier)


def _check_answers(format_name: str, export: Path, directory: Path, classifier: keras.Model) -> None:
    """An export used in a fresh process says what a classifier says here."""
    expected = np.asarray(classifier(FRAMES))
    assert expected.std() > 0.1
    early = np.asarray(classifier(FRAMES[:7, :5]))
    for given, answer in _use(USERS[format_name], export, directory).items():
        wanted = early if given == "some" else expected[: len(answer)]
        assert answer.shape == wanted.shape
        np.testing.assert_allclose(answer, wanted, atol=1e-5, err_msg=given)


@pytest.mark.parametrize("format_name", FORMAT_NAMES)
@pytest.mark.parametrize(
    ("architecture", "precision"),
    [
        pytest.param("layerwise", "float32", marks=pytest.mark.slow),
        pytest.param("submodel", "mixed_float16", marks=pytest.mark.storm),
        pytest.param("folded", "mixed_bfloat16", marks=[MULTIPLIES_BFLOAT16, pytest.mark.storm]),
        pytest.param("layerwise", "mixed_float16", marks=pytest.mark.storm),
        pytest.param("submodel", "mixed_bfloat16", marks=[MULTIPLIES_BFLOAT16, pytest.mark.storm]),
    ],
)
def test_every_architecture_is_exported_in_float32(
    tmp_path: Path, format_name: str, architecture: str, precision: str
) -> None:
    classifier = build_classifier(8, architecture, precision=precision)
    classifier.set_weights(weights_of_a_seed())
    export = _export(classifier, tmp_path, format_name)
    in_float32 = build_classifier(8)
    in_float32.set_weights(weights_of_a_seed())
    _check_answers(format_name, export, tmp_path, in_float32)


@pytest.mark.parametrize("format_name", FORMAT_NAMES)
@pytest.mark.parametrize(
    "image_size", [2, *(pytest.param(size, marks=pytest.mark.storm) for size in (3, 66))]
)
def test_every_size_is_exported(tmp_path: Path, format_name: str, image_size: int) -> None:
    export = _export(build_classifier(image_size), tmp_path, format_name)
    assert os.path.exists(export)


@pytest.mark.parametrize("image_size", [2, pytest.param(5, marks=pytest.mark.storm)])
def test_any_number_of_frames_is_taken(tmp_path: Path, image_size: int) -> None:
    classifier = build_classifier(image_size)
    signatures = tf.saved_model.load(str(_export(classifier, tmp_path, "saved_model"))).signatures
    session = onnxruntime.InferenceSession(_export(classifier, tmp_path / "2", "onnx"))
    frames = draw_frames(*sample_sequences(9, "serving", image_size, 0, 3))
    for timesteps in (1, image_size, 2 * image_size):
        shown = np.concatenate([frames, frames[:, ::-1]], axis=1)[:, :timesteps]
        expected = np.asarray(classifier(shown))
        served = signatures["serving_default"](frames=tf.constant(shown))["right"].numpy()
        np.testing.assert_allclose(served, expected, atol=1e-5)
        np.testing.assert_allclose(session.run(["right"], {"frames": shown})[0], expected, atol=1e-5)


def test_the_loop_over_time_is_one_operator_of_onnx(tmp_path: Path) -> None:
    """A loop of ONNX' small operators is several times as slow."""
    for architecture in ARCHITECTURES:
        export = _export(build_classifier(8, architecture), tmp_path / architecture, "onnx")
        operators = [node.op_type for node in onnx.load(str(export)).graph.node]
        assert operators.count("LSTM") == operators.count("Conv") == operators.count("MaxPool") == 1
        assert "Loop" not in operators


@pytest.mark.storm
@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_another_network_is_exported(tmp_path: Path, format_name: str) -> None:
    """With layers of all kinds that differ in training, over time, and in what they hold."""
    layers = keras.layers
    frames = layers.Input((None, 6, 6, 1))
    hidden = frames
    for layer in (
        layers.Conv2D(4, 3, padding="same", activation="tanh"),
        layers.BatchNormalization(),
        layers.Dropout(0.5),
        layers.GlobalAveragePooling2D(),
    ):
        hidden = layers.TimeDistributed(layer)(hidden)
    hidden = layers.Bidirectional(layers.LSTM(5, return_sequences=True, dropout=0.5))(hidden)
    hidden = layers.LSTM(4)(layers.GRU(7, return_sequences=True)(hidden))
    _export(keras.Model(frames, keras.ops.sigmoid(layers.Dense(1)(hidden))), tmp_path, format_name)


def test_what_a_format_has_no_operator_for_is_refused_in_one_line(tmp_path: Path) -> None:
    frames = keras.layers.Input((8, 8, 8, 1))
    features = keras.layers.GlobalMaxPooling3D()(keras.layers.Conv3D(2, 2, activation="gelu")(frames))
    classifier = keras.Model(frames, keras.layers.Dense(1, activation="sigmoid")(features))
    assert os.path.exists(_export(classifier, tmp_path, "litert"))
    with pytest.raises(WorkError, match=r"--format onnx: the model cannot be converted \(.*Erfc"):
        _export(classifier, tmp_path / "2", "onnx")
    assert not (tmp_path / "2" / "exports").exists()


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
        marker = tmp_path / EXPORT_FORMATS[format_name].name
        before = marker.stat().st_ino
        assert main(flags) == 0
        assert marker.stat().st_ino != before
    assert len(list(tmp_path.iterdir())) == 6


@SLOW_BUT_FIRST
def test_an_export_that_answers_otherwise_is_not_put_in_place(tmp_path: Path, format_name: str) -> None:
    # The last layer makes much of what half precision rounds.
    classifier = build_classifier(8, precision="mixed_float16")
    *weights, last, bias = weights_of_a_seed()
    classifier.set_weights([*weights, 1000 * last, bias])
    with pytest.raises(WorkError, match="differs from the model by up to 0"):
        _export(classifier, tmp_path, format_name)
    assert not (tmp_path / "exports").exists()


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
    mine = tmp_path / EXPORT_FORMATS[format_name].name / "precious.txt"
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


def _export(classifier: keras.Model, directory: Path, format_name: str) -> Path:
    """Where the export of a run lies that came to this classifier."""
    run, output = directory / "run", directory / "exports"
    run.mkdir(parents=True)
    classifier.save(run / "model.keras")
    with zipfile.ZipFile(run / "model.keras", "a") as archive:
        archive.writestr("training_state.json", TrainingState().to_json())
    assert main([f"--model_dir={run}", f"--output_dir={output}", f"--format={format_name}"]) == 0
    return output / EXPORT_FORMATS[format_name].name
