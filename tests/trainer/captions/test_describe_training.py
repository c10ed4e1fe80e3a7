"""Trainings that describe clips in words: what they leave, their numbers, and going on exactly."""

import json
import math
import shutil
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.captions import END, PAD, SPECIAL, START, UNKNOWN
from pipeline.command_line.errors import RequestError
from pipeline.dataset.features import decode
from pipeline.dataset.reader import Dataset
from tests.conftest import make_dataset
from tests.processes import environment, run_python
from tests.runs import MULTIPLIES_BFLOAT16
from tests.trainer.captions.caption_kinds import OneCaption, WithGaps, WithoutClasses, captioned_clips
from tests.trainer.captions.conftest import KEEP_ALL, SETTINGS, SHORT
from tests.trainer.captions.data_sets import described_balls
from tests.trainer.frames import data_sets as frame_data_sets
from tests.trainer.training.test_resume import assert_same_run
from tests.trainer.two_devices import train_on_two_devices
from trainer.distributed.strategy import distributed
from trainer.input.batches import sequential_batches
from trainer.input.split_files import SplitFiles, read_manifest, split_files
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.task import main
from trainer.training.build import TrainingModel, build_training_model
from trainer.training.history import read_history
from trainer.training.loop import train
from trainer.training.plan import Plan, make_plan
from trainer.training.settings import OF_CAPTIONS, Execution, TrainingSettings


def _config(run: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((run / "config.json").read_text())
    return config


def _history(run: Path) -> list[dict[str, str]]:
    return read_history(str(run / "history.csv"))


def _weights(run: Path) -> list[np.ndarray]:
    weights: list[np.ndarray] = load_trained_model(RunDirectory(str(run))).classifier.get_weights()
    return weights


def _encoder(run: Path) -> list[np.ndarray]:
    captioner = load_trained_model(RunDirectory(str(run))).classifier
    weights: list[np.ndarray] = captioner.get_layer("encoder").get_weights()
    return weights


def _files(data: Path, split: str = "train") -> SplitFiles:
    return split_files(str(data), read_manifest(str(data)), split)


def _plan(data: Path, settings: TrainingSettings = SHORT) -> Plan:
    return make_plan(settings, Execution(), _files(data), 1)


def _built(data: Path, settings: TrainingSettings) -> TrainingModel:
    with distributed("test", Execution(), None, {}) as distribution:
        return build_training_model(_plan(data, settings), _files(data), distribution, None)


def _captions(data: Path, split: str) -> list[list[str]]:
    """The captions of every record, read without TensorFlow."""
    dataset = Dataset.open(str(data))
    manifest = dataset.manifest
    payloads = dataset.read(split, 0, manifest.splits[split].num_sequences)
    return [decode(manifest.features, payload)["caption"] for payload in payloads]


def test_a_run_says_what_it_was_trained_on(balls_dir: Path, balls_run: Path) -> None:
    config = _config(balls_run)
    assert config["dataset"]["frame_shape"] == [24, 32, 3]
    assert "class_names" not in config["dataset"]
    vocabulary = json.loads((balls_run / "vocabulary.json").read_text())
    digest = vocabulary["sha256"]
    assert TrainingSettings.from_json(config["settings"]) == replace(
        SETTINGS, architecture="conv", vocabulary_sha256=digest
    )
    assert not {"line", "window", "noise"} & config["settings"].keys()

    texts = [text for each in _captions(balls_dir, "train") for text in each]
    counts = Counter(word for text in texts for word in text.split())
    words = [*SPECIAL, *sorted(counts, key=lambda word: (-counts[word], word))]
    assert vocabulary["words"] == words
    trained = load_trained_model(RunDirectory(str(balls_run)))
    assert trained.is_captioner
    assert list(trained.classifier.get_layer("decoder").words) == words
    assert {each.name: each.shape for each in trained.classifier.inputs} == {
        "frames": (None, None, 20, 28, 3),
        "length": (None,),
        "words": (None, None),
    }
    assert trained.classifier.output_shape == (None, None, len(words))


def test_words_of_other_splits_are_not_known(tmp_path: Path) -> None:
    data = tmp_path / "data"
    frame_data_sets.copied(WithGaps(seed=3, num_train=40, num_validation=5, num_test=5), data)
    view = _plan(data).view
    assert view is not None
    assert view.vocabulary is not None
    assert "here" not in view.vocabulary.words
    files = _files(data, "validation").shown(view.judged())
    ((_, labels),) = sequential_batches(files, batch_size=5).as_numpy_iterator()
    for row, texts in zip(labels, _captions(data, "validation"), strict=True):
        assert texts[0].split()[-1] == "here"
        assert list(row[3:5]) == [UNKNOWN, END]


@pytest.mark.parametrize("run", ["balls", pytest.param("cut", marks=pytest.mark.slow)])
def test_validation_counts_every_token_once(
    tmp_path: Path, balls_dir: Path, balls_run: Path, run: str
) -> None:
    """The last of the batches of 8 is filled up: there are 30 clips."""
    directory, max_words = balls_run, 7
    if run == "cut":
        directory, max_words = tmp_path / "run", 2
        train(replace(SHORT, max_words=2, batch_size=7), str(balls_dir), str(directory))
    trained = load_trained_model(RunDirectory(str(directory)))
    words = json.loads((directory / "vocabulary.json").read_text())["words"]
    numbers = {word: number for number, word in enumerate(words)}
    view = _plan(balls_dir, trained.settings).view
    assert view is not None
    first = [texts[0].split()[:max_words] for texts in _captions(balls_dir, "validation")]
    tokens = [[*(numbers[word] for word in each), END] for each in first]
    before = np.full((30, max_words + 1), PAD, np.int32)
    for inputs, caption in zip(before, tokens, strict=True):
        inputs[: len(caption)] = [START, *caption[:-1]]
    files = _files(balls_dir, "validation").shown(view.judged())
    ((features, _),) = sequential_batches(files, batch_size=30).as_numpy_iterator()
    shown = {"frames": features["frames"], "length": features["length"], "words": before}
    answers = np.asarray(trained.classifier(shown))
    places = [(clip, place) for clip, each in enumerate(tokens) for place in range(len(each))]
    losses = [-math.log(answers[clip, place, tokens[clip][place]]) for clip, place in places]
    hits = [answers[clip, place].argmax() == tokens[clip][place] for clip, place in places]
    lengths = [len(text.split()[:max_words]) + 1 for texts in _captions(balls_dir, "train") for text in texts]
    (row,) = (each for each in _history(directory) if int(each["step"]) == trained.step)
    assert float(row["val_loss"]) == pytest.approx(sum(losses) / 30 / np.mean(lengths), rel=1e-4)
    assert float(row["val_perplexity"]) == pytest.approx(math.exp(np.mean(losses)), rel=1e-4)
    assert float(row["val_accuracy"]) == pytest.approx(np.mean(hits), abs=1e-6)


@pytest.mark.slow
def test_it_learns_the_colours(tmp_path: Path) -> None:
    """Of "a red ball" and its end, all but the colour are plain soon; without it, 0.83 are right."""
    data = described_balls(tmp_path / "data", num_train=600)
    settings = replace(
        SHORT,
        steps_per_epoch=None,
        epochs=2,
        batch_size=16,
        learning_rate=0.01,
        num_frames=4,
        units=32,
        attention=True,
    )
    train(settings, str(data), str(tmp_path / "run"))
    assert float(_history(tmp_path / "run")[-1]["val_accuracy"]) > 0.95


@pytest.mark.parametrize("step", [5, pytest.param(15, marks=pytest.mark.slow)])
def test_a_run_goes_on_exactly(tmp_path: Path, balls_dir: Path, balls_run: Path, step: int) -> None:
    run = tmp_path / "run"
    shutil.copytree(balls_run, run)
    for path in [run / "model.keras", *(run / "checkpoints").glob("step-*")]:
        if path.stem == "model" or int(path.stem.removeprefix("step-")) > step:
            path.unlink()
    if step < 12:
        (run / "checkpoints" / "best.keras").unlink()
    result = train(SETTINGS, str(balls_dir), str(run), KEEP_ALL)
    assert (result.resumed_from, result.step) == (step, 24)
    assert_same_run(run, balls_run)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"min_word_count": 200}, r"min_word_count 1, not 200, vocabulary_sha256"),
        ({"max_words": 6}, r"\(max_words 7, not 6\)"),
        ({"tie_embeddings": True}, r"\(tie_embeddings False, not True\)"),
        ({"attention": False}, r"\(attention True, not False\)"),
        ({"task": None, "max_words": 20, "attention": False}, r"task describe, not None"),
    ],
)
def test_another_run_is_refused(
    balls_dir: Path, balls_run: Path, changes: dict[str, Any], named: str
) -> None:
    before = (balls_run / "config.json").read_bytes()
    with pytest.raises(RequestError, match=rf"holds another run.*{named}"):
        train(replace(SETTINGS, **changes), str(balls_dir), str(balls_run))
    assert (balls_run / "config.json").read_bytes() == before


def test_a_finished_run_is_repeated_by_its_config(
    balls_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"--config={balls_run / 'config.json'}", f"--model_dir={balls_run}"]) == 0
    assert "already trained for 24 steps" in capsys.readouterr().out


def test_data_sets_with_classes_are_classified_without_a_task(balls_dir: Path) -> None:
    plan = _plan(balls_dir, TrainingSettings(batch_size=4))
    assert plan.view is not None
    assert plan.view.vocabulary is None
    document = plan.settings.to_json()
    assert not {"task", *OF_CAPTIONS} & document.keys()
    named = _plan(balls_dir, TrainingSettings(batch_size=4, task="classify"))
    assert named.settings.to_json() == document


def test_data_sets_without_classes_are_described_without_a_task(tmp_path: Path) -> None:
    data = frame_data_sets.copied(
        WithoutClasses(seed=3, num_train=40, num_validation=5, num_test=5), tmp_path / "data"
    )
    plan = _plan(data, replace(SHORT, task=None))
    assert plan.settings.task == "describe"
    assert plan.settings == _plan(data).settings


def test_rare_words_are_unknown_and_long_captions_are_cut(balls_dir: Path) -> None:
    plan = _plan(balls_dir, replace(SHORT, min_word_count=200, max_words=2))
    assert plan.view is not None
    assert plan.view.vocabulary is not None
    assert plan.view.vocabulary.words == (*SPECIAL, "ball", "a")
    assert plan.view.mean_tokens == 3
    ((features, labels), *_) = sequential_batches(
        _files(balls_dir).shown(plan.view.judged()), batch_size=2
    ).as_numpy_iterator()
    ball, a = len(SPECIAL), len(SPECIAL) + 1
    assert labels.tolist() == [[a, UNKNOWN, END], [a, UNKNOWN, END]]
    assert features["words"].tolist() == [[START, a, UNKNOWN], [START, a, UNKNOWN]]
    assert ball not in labels


def test_padding_stands_behind_the_end(balls_dir: Path) -> None:
    plan = _plan(balls_dir)
    assert plan.view is not None
    ((features, labels), *_) = sequential_batches(
        _files(balls_dir).shown(plan.view.judged()), batch_size=2
    ).as_numpy_iterator()
    assert labels.shape == features["words"].shape == (2, 7)
    assert labels.dtype == features["words"].dtype == np.int32
    assert labels[:, 3:].tolist() == [[END, PAD, PAD, PAD]] * 2
    assert features["words"][:, 0].tolist() == [START] * 2


@pytest.fixture(scope="module")
def classifier_run(balls_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("classifier") / "run"
    settings = TrainingSettings(epochs=1, steps_per_epoch=2, batch_size=4, readers=1, num_frames=2, units=4)
    train(settings, str(balls_dir), str(run))
    return run


@pytest.mark.slow
@pytest.mark.parametrize("freeze", [False, True])
def test_the_encoder_of_a_classifier_is_taken(
    tmp_path: Path, balls_dir: Path, classifier_run: Path, freeze: bool
) -> None:
    taken = _encoder(classifier_run)
    settings = replace(SHORT, init_from=str(classifier_run), freeze_backbone=freeze)
    built = _built(balls_dir, settings)
    for mine, theirs in zip(built.classifier.get_layer("encoder").get_weights(), taken, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    drawn = _built(balls_dir, SHORT).classifier
    for name in ("lstm", "decoder"):  # All else is as without.
        for mine, theirs in zip(
            built.classifier.get_layer(name).get_weights(), drawn.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)

    run = tmp_path / "run"
    train(settings, str(balls_dir), str(run))
    same = [np.array_equal(*pair) for pair in zip(_encoder(run), taken, strict=True)]
    assert all(same) if freeze else not any(same)
    saved = _config(run)["settings"]
    assert saved["init_from"] == str(classifier_run)
    assert saved["init_from_sha256"] == load_trained_model(RunDirectory(str(classifier_run))).sha256
    # As a run that was killed after its first epoch: it is taken up whatever it began from.
    (run / "model.keras").unlink()
    assert train(settings, str(balls_dir), str(run)).resumed_from == 2


@pytest.mark.slow
def test_another_encoder_in_its_place_is_another_run(
    tmp_path: Path, balls_dir: Path, classifier_run: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(classifier_run, source)
    settings = replace(SHORT, init_from=str(source))
    train(settings, str(balls_dir), str(tmp_path / "run"))
    shutil.copy(source / "checkpoints" / "best.keras", source / "model.keras")
    with (source / "model.keras").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(RequestError, match=r"holds another run .*init_from_sha256"):
        train(settings, str(balls_dir), str(tmp_path / "run"))


@pytest.mark.slow
def test_a_source_leaves_tf32_as_it_is_asked_for(balls_dir: Path, classifier_run: Path) -> None:
    import tensorflow as tf

    from trainer.command_line.startup import reset_keras_settings

    for precision in ("tf32", "float32"):
        reset_keras_settings(tf32=precision != "float32")
        _built(balls_dir, replace(SHORT, init_from=str(classifier_run), precision=precision))
        assert tf.config.experimental.tensor_float_32_execution_enabled() == (precision == "tf32")


WAYS: dict[str, dict[str, Any]] = {
    "tied": {"tie_embeddings": True, "attention": True},
    "rare words": {"min_word_count": 200},
    "one word": {"max_words": 1},
    "classic": {"architecture": "classic", "flip": True, "sampling": "segments"},
    "tf32": {"precision": "tf32"},
    "half": {"precision": "mixed_bfloat16"},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=MULTIPLIES_BFLOAT16 if way == "half" else ()) for way in WAYS]
)
def test_all_ways_train(tmp_path: Path, balls_dir: Path, way: str) -> None:
    run = tmp_path / "run"
    settings = replace(SHORT, epochs=2, **WAYS[way])
    train(settings, str(balls_dir), str(run), Execution(steps_per_execution=2))
    for row in _history(run):
        assert 0 < float(row["loss"]) < 10
        assert float(row["perplexity"]) > 1
    assert {name: _config(run)["settings"][name] for name in WAYS[way]} == WAYS[way]
    decoder = load_trained_model(RunDirectory(str(run))).classifier.get_layer("decoder")
    assert decoder.is_tied == settings.tie_embeddings
    assert decoder.has_attention == settings.attention


@pytest.mark.slow
def test_one_is_deterministic_where_asked(tmp_path: Path, balls_dir: Path) -> None:
    """In a process of its own: determinism stays on until the process ends."""
    places = [f"--data_dir={balls_dir}", f"--model_dir={tmp_path / 'run'}", "--task=describe"]
    flags = ["--deterministic", "--epochs=1", "--steps_per_epoch=2", "--num_frames=3", "--attention"]
    done = run_python("-m", "trainer.task", *places, *flags, variables=environment())
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one", "lines", "clips", "sequences", "stills"])
def test_captions_are_read_however_they_are_stored(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data"
    numbers = {"seed": 3, "num_train": 40, "num_validation": 6, "num_test": 5, "sequences_per_shard": 20}
    if kind == "one":
        frame_data_sets.copied(OneCaption(**numbers), data)
    elif kind == "lines":
        make_dataset(data, encoding="frames", captions=True, num_train=40, num_validation=6)
    else:
        captioned_clips(data, "sequence_example" if kind == "sequences" else "tfds", stills=kind == "stills")
    flags = ["--epochs=1", "--steps_per_epoch=2", "--batch_size=4", "--units=8", "--max_words=6"]
    flags += ["--num_frames=1"] if kind == "stills" else ["--num_frames=3"]
    flags += ["--task=describe"] if kind in ("one", "lines") else []
    run = tmp_path / "run"
    assert main([f"--data_dir={data}", f"--model_dir={run}", *flags]) == 0
    assert _config(run)["settings"]["task"] == "describe"
    words = json.loads((run / "vocabulary.json").read_text())["words"][len(SPECIAL) :]
    expected = {
        "one": {"a", "ball", "red", "green", "blue"},
        "lines": {"a", "line", "grows", "to", "the", "left", "right"},
    }.get(kind, {"a", "cat", "dog", "emu"})
    assert set(words) - {"another", "one"} == expected
    assert float(_history(run)[0]["val_perplexity"]) > 1


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path: Path, balls_dir: Path, balls_run: Path) -> None:
    """Their sums are rounded in another order."""
    train_on_two_devices(balls_run / "config.json", tmp_path / "run")
    for mine, theirs in zip(_weights(tmp_path / "run"), _weights(balls_run), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.01)
    one, two = (_history(run)[0] for run in (balls_run, tmp_path / "run"))
    for name in ("loss", "perplexity", "accuracy", "val_loss", "val_perplexity", "val_accuracy"):
        assert float(one[name]) == pytest.approx(float(two[name]), rel=1e-3), name


@pytest.mark.slow
def test_jax_goes_on_with_what_tensorflow_began(tmp_path: Path, balls_dir: Path, balls_run: Path) -> None:
    pytest.importorskip("jax")
    run = tmp_path / "run"
    shutil.copytree(balls_run, run)
    (run / "model.keras").unlink()
    for path in (run / "checkpoints").glob("step-*"):
        if int(path.stem.removeprefix("step-")) > 12:
            path.unlink()
    flags = [f"--config={balls_run / 'config.json'}", f"--model_dir={run}"]
    done = run_python("-m", "trainer.task", *flags, variables=environment(KERAS_BACKEND="jax"))
    assert done.returncode == 0, done.stderr
    assert "resuming after step 12" in done.stdout
    for mine, theirs in zip(_weights(run), _weights(balls_run), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.01)
    one, two = (_history(each)[1] for each in (balls_run, run))
    for name in ("loss", "perplexity", "val_loss", "val_perplexity"):
        assert float(one[name]) == pytest.approx(float(two[name]), rel=1e-2), name


def test_settings_of_captions_come_back_from_json() -> None:
    settings = replace(SHORT, architecture="conv", vocabulary_sha256="0" * 64, tie_embeddings=True)
    document = settings.to_json()
    assert TrainingSettings.from_json(document) == settings
    assert asdict(settings).keys() - document.keys() == {"line", "window", "noise"}
