import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import keras
import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import stats

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.moving_line.lines import draw_frames, sample_sequences
from tests.conftest import ROOT, Program, make_dataset
from tests.processes import environment
from trainer.evaluate import main
from trainer.evaluation.evaluator import EvaluationRequest, evaluate
from trainer.evaluation.metrics import binary_metrics
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model

SCHEMA = json.loads((ROOT / "docs" / "metrics.schema.json").read_text())


@pytest.fixture(scope="module")
def run_dir(seeded_run: Path) -> Path:
    """A run whose answers are well apart from 0.5 and from one another on every machine."""
    return seeded_run


def _evaluate(run: Path, data: Path, output: Path, *more: str) -> dict:  # type: ignore[type-arg]
    flags = [f"--model_dir={run}", f"--data_dir={data}", f"--output={output}", *more]
    assert main(flags) == 0
    document: dict = json.loads(output.read_text())  # type: ignore[type-arg]
    return document


def _distances(document: dict) -> list[float]:  # type: ignore[type-arg]
    """How far off the worst answers are."""
    return [abs((row["label"] == "right") - row["probability_of_right"]) for row in document["worst"]]


@pytest.mark.parametrize(
    "batch_size", [1, *(pytest.param(size, marks=pytest.mark.slow) for size in (7, 64, 150)), 1000]
)
def test_metrics_are_exact_over_every_sequence(
    tmp_path: Path, run_dir: Path, dataset_dir: Path, batch_size: int
) -> None:
    document = _evaluate(run_dir, dataset_dir, tmp_path / "m.json", f"--batch_size={batch_size}")
    paths, labels = sample_sequences(3, "test", 8, 0, 150)
    classifier = load_trained_model(RunDirectory(str(run_dir))).classifier
    scores = np.asarray(classifier(draw_frames(paths, labels).astype(np.float32)))[:, 0]
    expected = binary_metrics(scores, labels)
    metrics = document["metrics"]
    assert set(metrics) == set(expected)
    assert np.sum(metrics["confusion_matrix"]) == 150
    assert metrics["confusion_matrix"] == expected["confusion_matrix"]
    for name in ("loss", "accuracy", "precision", "recall", "f1", "roc_auc", "brier_score"):
        assert metrics[name] == pytest.approx(expected[name], abs=1e-6), name
    # After t frames, it is judged as if the sequence ended there.
    for row in document["accuracy_by_frame"]["frames"]:
        seen = draw_frames(paths, labels)[:, : row["num_frames"]].astype(np.float32)
        early = np.asarray(classifier(seen), np.float64)[:, 0]
        assert row["accuracy"] == np.mean((early > 0.5) == labels)
        assert row["mean_confidence"] == pytest.approx(np.maximum(early, 1 - early).mean(), abs=1e-6)
    assert len(document["accuracy_by_frame"]["frames"]) == 8
    # The worst are named by their numbers.
    distance = np.abs(labels - scores)
    worst = [row["number"] for row in document["worst"]]
    assert len(set(worst)) == 16
    # Of sequences in which it sees the same, float32's rounding may put either first.
    np.testing.assert_allclose(distance[worst], np.sort(distance)[:-17:-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [7, 150])
def test_the_numbers_are_scikit_learns_of_the_same_answers(
    run_dir: Path, path_dataset_dir: Path, batch_size: int
) -> None:
    request = EvaluationRequest(str(path_dataset_dir), str(run_dir), batch_size=batch_size, flips=(0.2,))
    evaluation = evaluate(request)
    metrics = evaluation.document["metrics"]
    labels, right = evaluation.evidence.labels, evaluation.evidence.right.astype(np.float64)
    assert labels.tolist() == sample_sequences(3, "test", 8, 0, 150)[1].tolist()
    expected = {
        "loss": reference.log_loss(labels, right),
        "accuracy": reference.accuracy_score(labels, right > 0.5),
        "precision": reference.precision_score(labels, right > 0.5),
        "recall": reference.recall_score(labels, right > 0.5),
        "f1": reference.f1_score(labels, right > 0.5),
        "roc_auc": reference.roc_auc_score(labels, right),
        "brier_score": reference.brier_score_loss(labels, right),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert metrics["confusion_matrix"] == reference.confusion_matrix(labels, right > 0.5).tolist()
    last = evaluation.document["accuracy_by_frame"]["frames"][-1]
    assert last["accuracy"] == metrics["accuracy"]
    assert last["mean_confidence"] == pytest.approx(float(np.maximum(right, 1 - right).mean()), abs=1e-9)
    standard_error = stats.sem(np.maximum(right, 1 - right), ddof=1)
    interval = stats.norm.interval(0.95, last["mean_confidence"], standard_error)
    assert last["mean_confidence_interval"] == pytest.approx(interval, abs=1e-9)


@pytest.mark.parametrize(("split", "count"), [("validation", 70), ("test", 150)])
def test_the_document_names_data_model_and_place(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, split: str, count: int
) -> None:
    document = _evaluate(run_dir, path_dataset_dir, tmp_path / "m.json", f"--split={split}")
    manifest = json.loads((path_dataset_dir / "manifest.json").read_text())
    jsonschema.validate(document, SCHEMA)
    assert document["dataset"]["fingerprint"] == manifest["fingerprint"]
    assert document["dataset"]["content_digest"] == manifest["content_digest"]
    assert document["model"]["trained_on"] == manifest["fingerprint"]
    config = (run_dir / "config.json").read_bytes()
    assert document["model"]["config_sha256"] == hashlib.sha256(config).hexdigest()
    assert (document["dataset"]["split"], document["dataset"]["num_sequences"]) == (split, count)
    model = (run_dir / "model.keras").read_bytes()
    assert document["model"]["sha256"] == hashlib.sha256(model).hexdigest()
    assert document["model"]["step"] in (15, 30)
    assert document["throughput"]["sequences_per_second"] > 0
    assert document["environment"]["backend"] == "tensorflow"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--data_dir={data}", "--model_dir"),
        ("--data_dir={data} --model_dir={tmp}/no", "no such directory"),
        ("--data_dir={data} --model_dir={tmp}", "has no model.keras"),
        ("--data_dir={data} --model_dir={tmp}/damaged", "model.keras is damaged"),
        ("--data_dir={tmp} --model_dir={run}", "not a finished data set"),
        ("--data_dir={tmp}/no --model_dir={run}", "no such directory"),
        ("--data_dir={large} --model_dir={run}", "size 8, the sequences have size 9"),
        ("--data_dir={data} --model_dir={run} --split=dev", "--split"),
        ("--data_dir={data} --model_dir={run} --batch_size=0", "--batch_size"),
        ("--data_dir={data} --model_dir={run} --device=gpu", "sees no GPU"),
        ("--data_dir={data} --model_dir={run} --output={tmp}/no/m.json", "--output"),
        ("--data_dir={data} --model_dir={run} --output={tmp}", "--output"),
        ("--data_dir={data} --model_dir={run} --output=", "--output"),
        ("--data_dir={data} --model_dir={run} --output=/proc/m.json", "cannot be written"),
        ("--data_dir={data} --model_dir={tmp}/other", "model.keras is damaged"),
        ("--model_dir={run}", "--data_dir is missing"),
        ("--data_dir={data} --model_dir={run} --split=train", "that the model was trained on"),
        ("--data_dir={data} --model_dir={run} --flips=0,x", "--flips"),
        ("--data_dir={data} --model_dir={run} --flips=1.5", "shares of pixels from 0 to 1"),
        ("--data_dir={data} --model_dir={run} --flips=nan", "shares of pixels from 0 to 1"),
        ("--data_dir={data} --model_dir={run} --flips=0.1,0.10", "gives a share twice"),
        ("--data_dir={data} --model_dir={run} --noise=0.1", "--noise: is of trainer.task; .* by --flips"),
        ("--data_dir={data} --model_dir={run} --seed=1", "add --flips"),
        ("--data_dir={data} --model_dir={run} --flips=0.1 --seed=4294967296", "--seed"),
        ("--data_dir={data} --model_dir={run} --slices={tmp}/no.py", "--slices .*no.py: cannot be loaded"),
        ("--data_dir={data} --model_dir={run} --checks={tmp}/no.yaml", "no.yaml: cannot be read"),
        ("--data_dir={data} --model_dir={run} --baseline={tmp}/m.json", "add --checks"),
    ],
)
def test_wrong_requests(
    tmp_path: Path,
    run_dir: Path,
    path_dataset_dir: Path,
    large_dataset_dir: Path,
    flags: str,
    named: str,
) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "model.keras").write_bytes(b"PK not a model")
    (tmp_path / "other").mkdir()
    foreign = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    foreign.compile("adam", "mse")
    foreign.save(tmp_path / "other" / "model.keras")
    output = tmp_path / "m.json"
    output.write_text("old")
    text = flags.format(tmp=tmp_path, data=path_dataset_dir, run=run_dir, large=large_dataset_dir)
    with pytest.raises(RequestError, match=named):
        main([f"--output={output}", *text.split()])
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "m.json", "other"]


@pytest.fixture(scope="session")
def large_dataset_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "large", image_size=9)


def test_the_training_split_is_known_in_any_disguise(tmp_path: Path, run_dir: Path) -> None:
    # The same seed draws the same sequences, however many and however they are stored.
    other = make_dataset(tmp_path / "d", encoding="frames", num_train=50)
    flags = [f"--model_dir={run_dir}", f"--data_dir={other}", f"--output={tmp_path / 'm.json'}"]
    with pytest.raises(RequestError, match="that the model was trained on"):
        main([*flags, "--split=train"])
    assert main(flags) == 0
    another_seed = make_dataset(tmp_path / "e", seed=4)
    flags[1] = f"--data_dir={another_seed}"
    assert main([*flags, "--split=train"]) == 0


def test_a_damaged_config_is_one_line(tmp_path: Path, run_dir: Path, path_dataset_dir: Path) -> None:
    shutil.copytree(run_dir, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text('{"settings": {}}')
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}"]
    with pytest.raises(RequestError, match=r"config\.json is damaged"):
        main([*flags, f"--output={tmp_path / 'm.json'}"])


def test_code_in_a_model_file_is_not_run(tmp_path: Path, path_dataset_dir: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    inputs = keras.Input((None, 8, 8, 1))
    outputs = keras.layers.Lambda(lambda frames: keras.ops.mean(frames, axis=(1, 2, 3)))(inputs)
    keras.Model(inputs, outputs).save(run / "model.keras")
    with pytest.raises(RequestError, match=r"model\.keras is damaged .*Lambda.*risk"):
        main([f"--data_dir={path_dataset_dir}", f"--model_dir={run}", f"--output={tmp_path / 'm.json'}"])


@pytest.mark.storm
def test_several_batches_at_once_change_nothing(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, program: Program
) -> None:
    # A process of its own works on as many batches as there are cores; this one on one.
    here = _evaluate(run_dir, path_dataset_dir, tmp_path / "here.json", "--batch_size=8")
    flags = [f"--model_dir={run_dir}", f"--data_dir={path_dataset_dir}", "--batch_size=8"]
    done = program("trainer.evaluate", *flags, f"--output={tmp_path / 'there.json'}")
    assert done.returncode == 0, done.stderr
    there = json.loads((tmp_path / "there.json").read_text())
    assert f"{there['metrics']['accuracy']:.6f}" in done.stdout
    assert "150 of 150 sequences" in done.stderr
    assert there["slices"] == here["slices"]
    assert _distances(there) == pytest.approx(_distances(here), abs=1e-6)
    assert there["metrics"]["loss"] == pytest.approx(here["metrics"]["loss"], abs=1e-7)


def test_damaged_data_fails_and_leaves_the_old_metrics(tmp_path: Path, run_dir: Path) -> None:
    directory = make_dataset(tmp_path / "d")
    shard = directory / "moving_line-test.tfrecord-00004-of-00016"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(bytes(content))
    output = tmp_path / "m.json"
    output.write_text("old")
    with pytest.raises(WorkError, match=f"{shard.name}: record 1 at byte"):
        main([f"--model_dir={run_dir}", f"--data_dir={directory}", f"--output={output}"])
    assert output.read_text() == "old"


def test_sequences_keep_their_numbers_when_others_are_left_out(tmp_path: Path, run_dir: Path) -> None:
    whole, damaged = (make_dataset(tmp_path / name) for name in ("whole", "damaged"))
    shard = damaged / "moving_line-test.tfrecord-00000-of-00016"
    content = bytearray(shard.read_bytes())
    content[len(content) // 9 + 30] ^= 1  # In record 1 of 9.
    shard.write_bytes(bytes(content))
    judged = {}
    for data in (whole, damaged):
        request = EvaluationRequest(str(data), str(run_dir), flips=(0.2,), on_corrupt="skip")
        judged[data] = evaluate(request)
    answers = judged[whole].evidence.right
    np.testing.assert_allclose(judged[damaged].evidence.right, np.delete(answers, 1), rtol=0, atol=1e-6)
    for row in judged[damaged].document["worst"]:
        assert row["number"] != 1
        assert row["probability_of_right"] == pytest.approx(answers[row["number"]], abs=1e-6)
    # Noise is a function of the number, so all others answer as they did.
    robustness = [judged[data].document["robustness"][0]["errors"] for data in (whole, damaged)]
    assert robustness[0] - robustness[1] in (0, 1)
    assert judged[damaged].document["dataset"]["num_sequences"] == 149


def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path
) -> None:
    shutil.copy(run_dir / "model.keras", tmp_path / "model.keras")
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", f"--output={tmp_path / 'm.json'}"]
    with pytest.raises(RequestError, match="does not lie in --model_dir"):
        main([*flags, f"--checkpoint={tmp_path / 'model.keras'}"])
    (best,) = (run_dir / "checkpoints").glob("best.keras")
    assert main([*flags, f"--checkpoint={best}"]) == 0


@pytest.mark.storm
def test_a_full_stdout_is_one_line(run_dir: Path, path_dataset_dir: Path, tmp_path: Path) -> None:
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", f"--output={tmp_path / 'm.json'}"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trainer.evaluate", *flags],
            env={**environment(), "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith("evaluating")]
    assert errors == ["trainer.evaluate: error: stdout takes no more lines (No space left on device)"]


@pytest.mark.parametrize("change", ["emptied", "a record short", "a record more"])
def test_a_shard_of_another_size_is_named(tmp_path: Path, run_dir: Path, change: str) -> None:
    directory = make_dataset(tmp_path / "d")
    shard = directory / "moving_line-test.tfrecord-00005-of-00016"
    content = shard.read_bytes()
    record = len(content) // 9
    changed = {
        "emptied": b"",
        "a record short": content[record:],
        "a record more": content[:record] + content,
    }
    shard.write_bytes(changed[change])
    with pytest.raises(WorkError, match=f"{shard.name}: has .* bytes, the manifest says {len(content)}"):
        main([f"--model_dir={run_dir}", f"--data_dir={directory}", f"--output={tmp_path / 'm.json'}"])
    assert not (tmp_path / "m.json").exists()
