"""Exports of captioners, used in fresh processes that cannot import this project."""

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from model.captions import PAD, UNKNOWN, decoder_of
from pipeline.command_line.errors import RequestError, WorkError
from tests.runs import MULTIPLIES_BFLOAT16
from tests.trainer.clip_runs import Run, run_maker
from tests.trainer.lone_client import answers_alone, export_flags, with_config
from trainer.export import FORMAT_NAMES, main
from trainer.exporting.kinds import exportable_of
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import NotFiniteError
from trainer.training.checkpoints import read_state, save_checkpoint

TENSORFLOW = """
import tensorflow as tf
for run in sys.argv[3:]:
    export = tf.saved_model.load(run + "/saved_model")
    def ask(signature, **inputs):
        outputs = export.signatures[signature](**{name: tf.constant(each) for name, each in inputs.items()})
        return {name: each.numpy() for name, each in outputs.items()}
    def written(request, outputs):
        assert sorted(outputs) == ["caption", "log_probability", "tokens"], outputs
        outputs["caption"] = np.char.decode(outputs["caption"].astype(bytes), "utf-8")
        keep(run, request, outputs)
    frames = given[f"{run} frames"]
    records = [bytes(row[8 : 8 + int.from_bytes(row[:8], "little")]) for row in given[f"{run} records"]]
    written("serving_default", ask("serving_default", frames=frames))
    written("windows", ask("windows", **inputs(run, "frames", "length")))
    written("one frame", ask("serving_default", frames=frames[:2, :1]))
    written("examples", ask("examples", examples=records))
    words = [word.decode() for word in ask("words")["words"]]
    assert open(run + "/saved_model/assets/words.txt", encoding="utf-8").read().splitlines() == words
    answers[f"{run} words"] = np.array(words)
    for signature, wrong, named in (
        ("windows", {"frames": frames[:2], "length": np.array([0, 1], np.int32)}, "at least 1 real frame"),
        ("examples", {"examples": [b"no record"]}, "parse|Invalid protocol"),
        ("serving_default", {"frames": frames[:1, :, 1:]}, "incompatible|shape"),
    ):
        try:
            ask(signature, **wrong)
        except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
            assert re.search(named, str(error)), str(error)
        else:
            raise AssertionError(f"answered {signature} {named}")
"""
ONNX = """
import onnxruntime
for run in sys.argv[3:]:
    session = onnxruntime.InferenceSession(run + "/model.onnx", providers=["CPUExecutionProvider"])
    facts = {name: json.loads(fact) for name, fact in session.get_modelmeta().custom_metadata_map.items()}
    types = {each.name: (each.type, each.shape) for each in (*session.get_inputs(), *session.get_outputs())}
    assert types == {
        "frames": ("tensor(uint8)", ["batch", "timesteps", *facts["frame_shape"]]),
        "length": ("tensor(int32)", ["batch"]),
        "tokens": ("tensor(int32)", ["batch", facts["max_words"] + 1]),
        "log_probability": ("tensor(float)", ["batch"]),
    }, types
    def ask(request, **inputs):
        names = ["tokens", "log_probability"]
        keep(run, request, dict(zip(names, session.run(names, inputs))))
    ask("windows", **inputs(run, "frames", "length"))
    ask("one frame", frames=given[f"{run} frames"][:2, :1], length=np.ones(2, np.int32))
    answers[f"{run} words"] = np.array(facts["words"])
assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in sys.modules)
"""
LITERT = """
from ai_edge_litert.interpreter import Interpreter
for run in sys.argv[3:]:
    facts = json.load(open(run + "/export-litert.json"))
    write = Interpreter(run + "/model.tflite").get_signature_runner()
    assert sorted(write.get_output_details()) == ["log_probability", "tokens"]
    keep(run, "windows", write(**inputs(run, "frames", "length")))
    answers[f"{run} words"] = np.array(facts["words"])
assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in sys.modules)
"""
CLIENTS = {"saved_model": TENSORFLOW, "onnx": ONNX, "litert": LITERT}


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Makes a run by its name, once; see `run_maker`."""
    return run_maker(tmp_path_factory.mktemp("caption_exports"))


def _check_exports(runs: dict[str, Run], format_name: str, directory: Path) -> None:
    """Exports of runs, used together in one fresh process, answer as the Keras models here do."""
    answers = answers_alone(runs, format_name, CLIENTS[format_name], directory)
    for name, run in runs.items():
        windows = run.windows
        expected = {"windows": run.write(**windows)}
        assert len(set(expected["windows"][1])) > 2
        if format_name != "litert":
            expected["one frame"] = run.write(windows["frames"][:2, :1])
        if format_name == "saved_model":
            expected |= {"examples": expected["windows"], "serving_default": run.write(windows["frames"])}
        words = answers[f"{name} words"]
        assert tuple(words) == decoder_of(run.classifier).words
        for request, (tokens, captions, scores) in expected.items():
            found = answers[f"{name} {request} tokens"]
            np.testing.assert_array_equal(found, tokens)
            np.testing.assert_allclose(answers[f"{name} {request} log_probability"], scores, atol=1e-4)
            texts = [" ".join(words[row[row > UNKNOWN]]) for row in found]
            if format_name == "saved_model":
                texts = answers[f"{name} {request} caption"].tolist()
            assert texts == captions


@pytest.mark.slow
def test_exports_write_what_models_write_without_this_project(
    tmp_path: Path, make_run: Callable[[str], Run]
) -> None:
    """A training with crops and attention."""
    run = make_run("captions")
    _check_exports({"captions": run}, "saved_model", tmp_path)
    document = json.loads((tmp_path / "captions" / "export-saved_model.json").read_text())
    assert document["words"] == list(decoder_of(run.classifier).words)
    assert document["frame_shape"] == [12, 20, 3]
    assert (document["num_frames"], document["max_words"]) == (5, 4)
    assert document["num_sequences_compared"] == 256
    assert document["largest_difference"] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_records_of_both_layouts_and_converters_of_the_loop_over_words(
    tmp_path: Path, make_run: Callable[[str], Run], format_name: str
) -> None:
    runs = {name: make_run(name) for name in ("captions", "sequence_captions")}
    _check_exports(runs, format_name, tmp_path)


@pytest.mark.parametrize("is_unrolled", [pytest.param(False, marks=pytest.mark.slow), True])
def test_converters_get_a_model_that_writes_the_same(
    make_run: Callable[[str], Run], is_unrolled: bool
) -> None:
    run = make_run("captions")
    model = exportable_of(RunDirectory(str(run.directory))).convertible(is_unrolled=is_unrolled)
    assert model.input["frames"].shape[1] == (5 if is_unrolled else None)
    tokens, _, scores = run.write(**run.windows)
    found = model.predict_on_batch(run.windows)
    np.testing.assert_array_equal(found["tokens"], tokens)
    np.testing.assert_allclose(found["log_probability"], scores, atol=1e-4)


@pytest.mark.slow
@MULTIPLIES_BFLOAT16
@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_a_captioner_of_half_precision_and_of_a_kind_of_ones_own_is_exported_in_float32(
    tmp_path: Path, make_run: Callable[[str], Run], format_name: str
) -> None:
    """Its words are told by their embeddings; some of its captions have no word."""
    _check_exports({"titles": make_run("titles")}, format_name, tmp_path)


def test_an_export_that_writes_otherwise_is_refused(make_run: Callable[[str], Run]) -> None:
    export = exportable_of(RunDirectory(str(make_run("captions").directory)))
    request = next(iter(export.requests(every_signature=False)))
    right = {"tokens": request.equal["tokens"], "log_probability": request.expected}
    assert export.difference(request, right) == 0
    counts = (right["tokens"] != PAD).sum(axis=1)
    off = {**right, "log_probability": request.expected + 0.5 * counts}
    assert export.difference(request, off) == pytest.approx(0.5)
    for wrong in (
        {**right, "tokens": np.roll(right["tokens"], 1, axis=0)},
        {**right, "caption": np.full(len(counts), b"another", object)},
    ):
        with pytest.raises(WorkError, match="other captions than the model"):
            export.difference(request, wrong)


def test_a_captioner_that_does_not_answer_is_not_exported(
    tmp_path: Path, make_run: Callable[[str], Run]
) -> None:
    run = with_config(make_run("captions"), tmp_path)
    path = str(run / "model.keras")
    state, captioner = read_state(path), keras.models.load_model(path)
    captioner.set_weights([np.nan * weight for weight in captioner.get_weights()])
    save_checkpoint(path, captioner, state)
    with pytest.raises(NotFiniteError, match="are not finite numbers"):
        next(iter(exportable_of(RunDirectory(str(run))).requests(every_signature=False)))


@pytest.mark.parametrize(
    ("part", "changes", "named"),
    [
        ("settings", {"vocabulary_sha256": "0" * 64}, "is of another model; restore it or train again"),
        ("dataset", {"frame_shape": None, "features": None}, "is damaged; restore it or train again"),
        ("dataset", {"features": {"video": {"kind": "smell"}}}, "is damaged; restore it or train again"),
        ("settings", {"crop": "4x4"}, "is of another model; restore it or train again"),
    ],
)
def test_what_the_configuration_lacks_is_said(
    tmp_path: Path, make_run: Callable[[str], Run], part: str, changes: dict[str, object], named: str
) -> None:
    run = with_config(make_run("captions"), tmp_path)
    config = json.loads((run / "config.json").read_text())
    config[part] |= changes
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RequestError, match=named):
        main(export_flags(run, tmp_path / "x"))
    assert not (tmp_path / "x").exists()
