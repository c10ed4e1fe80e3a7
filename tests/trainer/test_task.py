"""The trainer's flags: files of them, and wrong requests."""

import json
from pathlib import Path

import keras
import pytest

from pipeline.command_line.errors import RequestError
from tests.conftest import Program, make_dataset
from tests.runs import begin_with_weights, weights_that_know
from trainer.command_line.flags import arguments_of_file
from trainer.predict import main as predict_main
from trainer.task import main
from trainer.training.history import read_history
from trainer.training.settings import TrainingSettings

QUICK = ["--epochs=1", "--steps_per_epoch=3", "--batch_size=16"]


def _config(run: Path) -> dict[str, object]:
    config: dict[str, object] = json.loads((run / "config.json").read_text())
    return config


@pytest.mark.parametrize("suffix", ["yaml", pytest.param("json", marks=pytest.mark.storm)])
def test_flags_come_from_a_file_and_those_given_come_on_top(
    tmp_path: Path, path_dataset_dir: Path, suffix: str
) -> None:
    wanted = {
        "data_dir": str(path_dataset_dir),
        "epochs": 2,
        "steps_per_epoch": 3,
        "learning_rate": 5e-05,
        "deterministic": False,
        "window": None,
        "line": "dot",
    }
    text = json.dumps(wanted)
    if suffix == "yaml":
        text = "\n".join(f"{name}: {json.dumps(value)}" for name, value in wanted.items())
    (tmp_path / f"flags.{suffix}").write_text(text)
    flags = [f"--config={tmp_path / f'flags.{suffix}'}", f"--model_dir={tmp_path / 'run'}", "--epochs=1"]
    assert main(flags) == 0
    settings = _config(tmp_path / "run")["settings"]
    expected = TrainingSettings(epochs=1, steps_per_epoch=3, learning_rate=5e-05, line="dot", readers=16)
    assert settings == {**expected.to_json(), "architecture": "folded"}


@pytest.mark.parametrize(("steps", "kept"), [(25, False), (24, True)])
def test_whole_epochs_of_a_run_stay_whole_with_other_batches(tmp_path: Path, steps: int, kept: bool) -> None:
    settings = TrainingSettings(batch_size=8, steps_per_epoch=steps).to_json()
    document = {"settings": settings, "dataset": {"path": "/data", "num_train": 207}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    arguments = arguments_of_file(str(tmp_path / "config.json"))
    assert (f"--steps_per_epoch={steps}" in arguments) == kept
    assert {"--batch_size=8", "--data_dir=/data"} <= set(arguments)


@pytest.mark.parametrize("flags", [[], ["--top_k=2"]])
def test_a_run_that_is_not_there_is_not_taken_for_one_of_lines(tmp_path: Path, flags: list[str]) -> None:
    asked = [f"--model_dir={tmp_path / 'typo'}", f"--input={tmp_path / 'clip.mp4'}", *flags]
    with pytest.raises(RequestError, match=r"; of a run on others, .*typo/config.json is missing$"):
        predict_main(asked)


@pytest.mark.storm
def test_the_config_of_a_run_repeats_it(tmp_path: Path, path_dataset_dir: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    flags = [f"--data_dir={path_dataset_dir}", *QUICK, "--seed=5", "--noise=0.1", "--feeds=2"]
    assert main([f"--model_dir={first}", *flags]) == 0
    assert main([f"--model_dir={second}", f"--config={first / 'config.json'}"]) == 0
    assert _config(first)["settings"] == _config(second)["settings"]
    rows = [read_history(str(run / "history.csv"))[0] for run in (first, second)]
    assert rows[0]["loss"] == rows[1]["loss"]
    weights = [keras.models.load_model(run / "model.keras").get_weights() for run in (first, second)]
    assert all((mine == theirs).all() for mine, theirs in zip(*weights, strict=True))


@pytest.mark.storm
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_and_goes_on(tmp_path: Path, path_dataset_dir: Path, precision: str) -> None:
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}", f"--precision={precision}"]
    flags += ["--epochs=2", "--steps_per_epoch=5", "--learning_rate=0.01", "--readers=4"]
    settings = TrainingSettings(
        epochs=2, steps_per_epoch=5, learning_rate=0.01, readers=4, precision=precision
    )
    begin_with_weights(tmp_path / "run", path_dataset_dir, settings, weights_that_know(0))
    assert main(flags) == 0
    loaded = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert loaded.get_layer("conv").compute_dtype == precision.removeprefix("mixed_")
    assert loaded.get_layer("right").compute_dtype == "float32"
    assert {str(weight.dtype) for weight in loaded.get_weights()} == {"float32"}
    rows = read_history(str(tmp_path / "run" / "history.csv"))
    assert float(rows[-1]["val_accuracy"]) > 0.9
    for name in ("step-00000010.keras", "best.keras"):
        (tmp_path / "run" / "checkpoints" / name).unlink()
    (tmp_path / "run" / "model.keras").unlink()
    assert main(flags) == 0
    again = read_history(str(tmp_path / "run" / "history.csv"))
    assert [row["val_loss"] for row in again] == [row["val_loss"] for row in rows]


@pytest.mark.slow
def test_the_rate_warms_up_and_falls(tmp_path: Path, path_dataset_dir: Path) -> None:
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}", "--learning_rate=0.01"]
    assert (
        main([*flags, "--epochs=4", "--steps_per_epoch=5", "--warmup_steps=10", "--keep_checkpoints=9"]) == 0
    )
    rates = []
    for step in (5, 10, 15, 20):
        model = keras.models.load_model(tmp_path / "run" / "checkpoints" / f"step-{step:08d}.keras")
        rates.append(float(model.optimizer.learning_rate))
    assert rates == pytest.approx([0.005, 0.01, 0.005, 0], abs=1e-6)


@pytest.mark.storm
def test_a_deterministic_profiled_run(tmp_path: Path, path_dataset_dir: Path, program: Program) -> None:
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}", *QUICK]
    done = program("trainer.task", *flags, "--deterministic", "--profile=2,3")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run" / "tensorboard").rglob("*.xplane.pb"))
    settings = _config(tmp_path / "run")["settings"]
    assert isinstance(settings, dict)
    assert settings["deterministic"] is True


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--warmup_steps=-1", "--warmup_steps"),
        ("--warmup_steps=3", "--warmup_steps 3: the run has only 3 steps"),
        ("--early_stopping=0", "--early_stopping"),
        ("--precision=float8", "--precision float8: give one of float32"),
        ("--line=circle", "--line circle: give one of line, dot"),
        ("--window=0", "--window"),
        ("--window=9", "--window 9: the sequences have only 8 frames"),
        ("--noise=1", "--noise 1.0"),
        ("--noise=nan", "--noise nan"),
        ("--feeds=0", "--feeds"),
        ("--feeds=3", "--batch_size 16: 3 feeds cannot share it"),
        ("--feeds=32 --batch_size=32", "--feeds 32: the training split has only 16 shards"),
        ("--feeds=4 --readers=5", "--readers 5: the training split has only 16 shards for 4 feeds"),
        ("--distribution=all", "--distribution"),
        ("--distribution=multi_worker", "TF_CONFIG names no other process"),
        ("--steps_per_execution=0", "--steps_per_execution"),
        ("--steps_per_execution=2", "--steps_per_execution 2: an epoch has 3 steps"),
        ("--steps_per_execution=3 --checkpoint_every=4", "--checkpoint_every 4: give a multiple"),
        ("--checkpoint_every=0", "--checkpoint_every"),
        ("--checkpoint_seconds=0", "--checkpoint_seconds"),
        ("--keep_checkpoints=0", "--keep_checkpoints"),
        ("--peer_timeout=0", "--peer_timeout"),
        ("--peer_timeout=1000001", "--peer_timeout 1000001: give at most 1000000 seconds"),
        ("--connect_timeout=0", "--connect_timeout"),
        ("--data_service=localhost:5050", "--data_service localhost:5050: give grpc://HOST:PORT"),
        ("--data_service=grpc://localhost", "--data_service"),
        ("--profile=5", "--profile"),
        ("--profile=5,2", "--profile"),
        ("--on_corrupt=ignore", "--on_corrupt"),
        ("--config={tmp}/no.yaml", "no.yaml: cannot be read"),
        ("--config={tmp}/broken.yaml", "broken.yaml: is neither YAML nor JSON"),
        ("--config={tmp}/list.yaml", "list.yaml: give a mapping"),
        ("--config={tmp}/unknown.yaml", "unknown.yaml, or the flags after it: .*--epoch=3"),
        ("--config={tmp}/odd.yaml", "odd.yaml, or the flags after it: .*--settings=1"),
        ("--config={tmp}/boolean.yaml", "boolean.yaml: give a mapping"),
        ("--config={tmp}/nested.yaml", "nested.yaml: epochs: is no flag with a single value"),
        ("--config={tmp}/wrong.yaml", "wrong.yaml, or the flags after it: .*--epochs"),
        ("--config", "--config"),
    ],
)
def test_wrong_requests(tmp_path: Path, path_dataset_dir: Path, flags: str, named: str) -> None:
    files = {
        "broken": "a: [",
        "list": "- 1",
        "unknown": "epoch: 3",
        "nested": "epochs: [3]",
        "odd": "{settings: 1, dataset: 2}",
        "boolean": "on: 3",
        "wrong": "epochs: many",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    before = sorted(tmp_path.rglob("*"))
    base = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'new'}", *QUICK]
    with pytest.raises(RequestError, match=named) as caught:
        main([*base, *flags.format(tmp=tmp_path).split()])
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_wrong_cluster_is_refused_in_one_line(
    tmp_path: Path, path_dataset_dir: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", "{")
    done = program("trainer.task", f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}")
    assert done.returncode == 2
    assert done.stderr.startswith("trainer.task: error: TF_CONFIG: is not of the form")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_fewer_shards_than_processes_are_refused(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(tmp_path / "d", num_train=3)
    addresses = [f"localhost:{port}" for port in range(1, 5)]
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": addresses}, "task": task}))
    done = program("trainer.task", f"--data_dir={data}", f"--model_dir={tmp_path / 'run'}", "--batch_size=4")
    assert done.returncode == 2
    assert "--feeds 4: the training split has only 3 shards" in done.stderr
    assert len(done.stderr.splitlines()) == 1
