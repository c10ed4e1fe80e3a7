import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.lines import draw_frames, sample_sequences
from pipeline.program import RequestError, WorkError
from tests.conftest import Program, make_dataset
from trainer.evaluate import main
from trainer.metrics import binary_metrics
from trainer.run_directory import RunDirectory
from trainer.trained_model import load_trained_model


def _evaluate(run: Path, data: Path, output: Path, *more: str) -> dict:  # type: ignore[type-arg]
    flags = [f"--model_dir={run}", f"--data_dir={data}", f"--output={output}", *more]
    assert main(flags) == 0
    document: dict = json.loads(output.read_text())  # type: ignore[type-arg]
    return document


@pytest.mark.parametrize("batch_size", [1, 7, 64, 150, 1000])
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


@pytest.mark.parametrize(("split", "count"), [("train", 600), ("validation", 70), ("test", 150)])
def test_the_document_names_data_model_and_place(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, split: str, count: int
) -> None:
    document = _evaluate(run_dir, path_dataset_dir, tmp_path / "m.json", f"--split={split}")
    manifest = json.loads((path_dataset_dir / "manifest.json").read_text())
    assert document["schema_version"] == 1
    assert document["dataset"]["fingerprint"] == manifest["fingerprint"]
    assert (document["dataset"]["split"], document["dataset"]["num_sequences"]) == (split, count)
    model = (run_dir / "model.keras").read_bytes()
    assert document["model"]["sha256"] == hashlib.sha256(model).hexdigest()
    assert document["model"]["step"] in (15, 30)
    assert document["throughput"]["sequences_per_second"] > 0
    assert document["environment"]["backend"] == "tensorflow"


def test_the_program_evaluates_in_its_own_process(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, program: Program
) -> None:
    output = tmp_path / "m.json"
    flags = [f"--model_dir={run_dir}", f"--data_dir={path_dataset_dir}", f"--output={output}"]
    done = program("trainer.evaluate", *flags)
    assert done.returncode == 0, done.stderr
    accuracy = json.loads(output.read_text())["metrics"]["accuracy"]
    assert f"{accuracy:.6f}" in done.stdout
    assert "150 of 150 sequences" in done.stderr


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
    import keras

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
