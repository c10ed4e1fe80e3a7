"""Exports of classifiers of clips, used in fresh processes that cannot import this project."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.frames import FrameEncoder, MeanOverTime
from pipeline.clips.decoder_process import Decoder, Segment
from pipeline.clips.frame_settings import FrameSettings
from pipeline.command_line.errors import RequestError, WorkError
from tests.runs import MULTIPLIES_BFLOAT16
from tests.trainer.clip_runs import Run, run_maker
from tests.trainer.lone_client import answers_alone, export_flags, with_config
from trainer.export import FORMAT_NAMES, main
from trainer.exporting.formats import EXPORT_FORMATS
from trainer.exporting.kinds import exportable_of
from trainer.exporting.served_classifier import convertible_copy, float32_copy
from trainer.run.run_directory import RunDirectory
from trainer.training.checkpoints import read_state, save_checkpoint

TENSORFLOW = """
import tensorflow as tf
def records_of(run):
    return [bytes(row[8 : 8 + int.from_bytes(row[:8], "little")]) for row in given[f"{run} records"]]
for run, other in zip(sys.argv[3:], sys.argv[4:] + sys.argv[3:4]):
    export = tf.saved_model.load(run + "/saved_model")
    def ask(signature, **inputs):
        outputs = export.signatures[signature](**{name: tf.constant(each) for name, each in inputs.items()})
        return {name: each.numpy() for name, each in outputs.items()}
    def written(request, outputs):
        outputs["label"] = np.char.decode(outputs["label"].astype(bytes), "utf-8")
        keep(run, request, outputs)
    written("serving_default", ask("serving_default", **inputs(run, "frames")))
    written("windows", ask("windows", **inputs(run, "frames", "length")))
    frames = given[f"{run} frames"]
    written("one frame", ask("serving_default", frames=frames[:2, :1]))
    records, foreign = records_of(run), records_of(other)[0] if other != run else b"no record"
    written("examples", ask("examples", examples=records))
    names = [name.decode() for name in ask("class_names")["class_names"]]
    assert open(run + "/saved_model/assets/class_names.txt", encoding="utf-8").read().splitlines() == names
    answers[f"{run} class_names"] = np.array(names)
    for signature, wrong, named in (
        ("windows", {"frames": frames[:2], "length": np.array([0, 1], np.int32)}, "at least 1 real frame"),
        ("windows", {"frames": frames[:1], "length": np.array([99], np.int32)}, "more than there are frames"),
        ("examples", {"examples": [b"no record"]}, "parse|Invalid protocol"),
        ("examples", {"examples": [b""]}, ""),  # An example without frames.
        ("examples", {"examples": [records[0], foreign]}, ""),
        ("examples", {"examples": [records[0][:-9]]}, ""),
        ("serving_default", {"frames": frames[:1, :, 1:]}, "incompatible|shape"),
        ("serving_default", {"frames": frames[:1].astype(np.float32)}, ""),
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
        "probabilities": ("tensor(float)", ["batch", len(facts["class_names"])]),
    }, types
    frames, length = given[f"{run} frames"], given[f"{run} length"]
    def ask(request, **inputs):
        keep(run, request, {"probabilities": session.run(["probabilities"], inputs)[0]})
    ask("windows", frames=frames, length=length)
    ask("one frame", frames=frames[:2, :1], length=np.ones(2, np.int32))
    answers[f"{run} class_names"] = np.array(facts["class_names"])
assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in sys.modules)
"""
LITERT = """
from ai_edge_litert.interpreter import Interpreter
for run in sys.argv[3:]:
    facts = json.load(open(run + "/export-litert.json"))
    classify = Interpreter(run + "/model.tflite").get_signature_runner()
    shapes = {
        name: (each["dtype"], list(each["shape_signature"]))
        for name, each in {**classify.get_input_details(), **classify.get_output_details()}.items()
    }
    assert shapes == {
        "frames": (np.uint8, [-1, facts["num_frames"], *facts["frame_shape"]]),
        "length": (np.int32, [-1]),
        "probabilities": (np.float32, [-1, len(facts["class_names"])]),
    }, shapes
    keep(run, "windows", classify(**inputs(run, "frames", "length")))
    answers[f"{run} class_names"] = np.array(facts["class_names"])
assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in sys.modules)
"""
OTHERS = [name for name in FORMAT_NAMES if name != "onnx"]
CLIENTS = {"saved_model": TENSORFLOW, "onnx": ONNX, "litert": LITERT}


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Makes a run by its name, once; see `run_maker`."""
    return run_maker(tmp_path_factory.mktemp("clip_exports"))


def _check_exports(runs: dict[str, Run], format_name: str, directory: Path) -> None:
    """Exports of runs, used together in one fresh process, answer as the Keras models here do."""
    answers = answers_alone(runs, format_name, CLIENTS[format_name], directory)
    for name, run in runs.items():
        windows = run.windows
        expected = {"windows": run.answer(**windows)}
        if format_name != "litert":
            expected["one frame"] = run.answer(windows["frames"][:2, :1])
        if format_name == "saved_model":
            expected |= {
                "examples": expected["windows"],
                "serving_default": run.answer(windows["frames"]),
            }
        assert tuple(answers[f"{name} class_names"]) == run.classes
        assert expected["windows"].std(axis=0).max() > 1e-3  # Not the same for every clip.
        for request, probabilities in expected.items():
            found = answers[f"{name} {request} probabilities"]
            np.testing.assert_allclose(found, probabilities, atol=2e-6, err_msg=f"{name} {request}")
            if format_name == "saved_model":
                tops = found.argmax(axis=-1)
                assert answers[f"{name} {request} class"].tolist() == tops.tolist()
                assert answers[f"{name} {request} label"].tolist() == [run.classes[top] for top in tops]


@pytest.mark.slow
def test_exports_answer_as_models_do_without_this_project(
    tmp_path: Path, make_run: Callable[[str], Run]
) -> None:
    """Records of both layouts; a training with crops, one with a mean over time."""
    runs = {name: make_run(name) for name in ("tfds", "sequence_example")}
    _check_exports(runs, "saved_model", tmp_path)
    document = json.loads((tmp_path / "tfds" / "export-saved_model.json").read_text())
    assert document["class_names"] == list(runs["tfds"].classes)
    assert document["frame_shape"] == [12, 20, 3]
    assert (document["num_frames"], document["sampling"], document["frame_step"]) == (5, "window", 1)
    assert document["num_sequences_compared"] == 256
    assert document["largest_difference"] < 1e-5


def test_an_export_tells_how_a_file_becomes_the_frames_of_a_record(make_run: Callable[[str], Run]) -> None:
    run = make_run("tfds")
    facts = exportable_of(RunDirectory(str(run.directory))).facts()
    settings = FrameSettings.from_json(json.loads(json.dumps(facts["frame_settings"])))
    record = tf.train.Example.FromString(run.records[0]).features.feature
    (name,) = record["clip"].bytes_list.value
    with Decoder() as decoder:
        segment, _ = decoder.decode(str(run.data.parents[1] / "clips" / name.decode()), settings)
    assert isinstance(segment, Segment)
    assert segment.frames == list(record["video"].bytes_list.value)


@MULTIPLIES_BFLOAT16
def test_frames_that_came_from_no_files_have_no_settings(make_run: Callable[[str], Run]) -> None:
    assert "frame_settings" not in exportable_of(RunDirectory(str(make_run("own").directory))).facts()


@pytest.mark.slow
@pytest.mark.parametrize("format_name", FORMAT_NAMES[1:])
def test_converters_take_both_networks(
    tmp_path: Path, make_run: Callable[[str], Run], format_name: str
) -> None:
    _check_exports({name: make_run(name) for name in ("tfds", "sequence_example")}, format_name, tmp_path)


@pytest.mark.slow
@MULTIPLIES_BFLOAT16
@pytest.mark.parametrize(
    "format_name", ["onnx", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_a_model_of_half_precision_and_of_a_kind_of_ones_own_is_exported_in_float32(
    tmp_path: Path, make_run: Callable[[str], Run], format_name: str
) -> None:
    _check_exports({"own": make_run("own")}, format_name, tmp_path)


@pytest.mark.parametrize("is_converted", [False, True])
def test_normalization_is_copied_with_its_weights(is_converted: bool) -> None:
    """As in EfficientNet: the layer computes with tensors that it derives from its weights."""
    frames = keras.Input((4, 4, 1))
    normalized = keras.layers.Normalization(axis=-1, dtype="mixed_bfloat16")
    encoder = keras.Model(frames, keras.layers.Flatten(dtype="float32")(normalized(frames)))
    clips, length = keras.Input((None, 4, 4, 1), name="frames"), keras.Input((), dtype="int32", name="length")
    inputs = {"frames": clips, "length": length}
    classifier = keras.Model(inputs, MeanOverTime()(FrameEncoder(encoder)(clips), length))
    normalized.adapt(np.array([3, 7.0] * 8).reshape(1, 4, 4, 1))
    copy = convertible_copy(classifier, "x") if is_converted else float32_copy(classifier)
    given = {"frames": np.full((2, 3, 4, 4, 1), 9.0), "length": np.array([1, 3])}
    found = copy(given)["x"] if is_converted else copy(given)
    np.testing.assert_allclose(found, np.full((2, 16), 2.0), rtol=1e-6)


@pytest.mark.storm
@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_a_frozen_network_of_keras_applications_is_exported(
    tmp_path: Path, make_run: Callable[[str], Run], format_name: str
) -> None:
    assert main(export_flags(make_run("application").directory, tmp_path, format_name)) == 0
    assert (tmp_path / EXPORT_FORMATS[format_name].name).exists()


def test_one_class_name_is_one_line_of_the_asset(tmp_path: Path, make_run: Callable[[str], Run]) -> None:
    changed = with_config(make_run("tfds"), tmp_path, class_names=["a\nb", "run", "swim", "jump"])
    export = exportable_of(RunDirectory(str(changed)))
    assert export.assets() == {"class_names.txt": "a b\nrun\nswim\njump\n"}
    assert export.facts()["class_names"][0] == "a\nb"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"class_names": ["cat", "dog"]}, "is of another model; restore it or train again"),
        ({"frame_shape": None, "features": None}, "is damaged; restore it or train again"),
        ({"features": {"video": {"kind": "smell"}}}, "is damaged; restore it or train again"),
        ({"features": {}}, "is damaged; restore it or train again"),
        ({"keys": 7}, "is damaged; restore it or train again"),
    ],
)
def test_what_the_configuration_lacks_is_said(
    tmp_path: Path, make_run: Callable[[str], Run], changes: dict[str, Any], named: str
) -> None:
    run = with_config(make_run("tfds"), tmp_path, **changes)
    with pytest.raises(RequestError, match=named):
        main(export_flags(run, tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_a_model_without_its_configuration_is_refused(tmp_path: Path, make_run: Callable[[str], Run]) -> None:
    run = with_config(make_run("tfds"), tmp_path)
    (run / "config.json").unlink()
    with pytest.raises(RequestError, match=r"config\.json: is missing, or of another run"):
        main(export_flags(run, tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("factor", "named"), [(np.nan, "are not finite numbers"), (4, "differs from the model by up to 0")]
)
@MULTIPLIES_BFLOAT16
def test_a_model_that_answers_otherwise_or_not_at_all_is_not_exported(
    tmp_path: Path, make_run: Callable[[str], Run], factor: float, named: str
) -> None:
    run = with_config(make_run("own"), tmp_path)
    path = str(run / "model.keras")
    state, classifier = read_state(path), keras.models.load_model(path)
    # Large features are rounded coarsely in bfloat16, in which this model computes, and its export does not.
    classifier.set_weights([factor * weight for weight in classifier.get_weights()])
    save_checkpoint(path, classifier, state)
    with pytest.raises(WorkError, match=named):
        main(export_flags(run, tmp_path / "x"))
    assert not (tmp_path / "x").exists()
