import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from matplotlib import image

from pipeline.command_line.errors import RequestError, WorkError
from tests.conftest import Program, make_dataset
from tests.runs import HIGHEST, LOWEST, begin_with_weights, set_back, weights_that_know
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.task import main
from trainer.training.history import read_history
from trainer.training.loop import train
from trainer.training.settings import TrainingSettings

SETTINGS = TrainingSettings(epochs=2, steps_per_epoch=15, batch_size=16, readers=4, learning_rate=0.01)


def _weights(run: Path) -> list[np.ndarray]:
    weights: list[np.ndarray] = load_trained_model(RunDirectory(str(run))).classifier.get_weights()
    return weights


def _assert_same_weights(run: Path, other: Path) -> None:
    for mine, theirs in zip(_weights(run), _weights(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_run_leaves_everything_behind(run_dir: Path, path_dataset_dir: Path) -> None:
    names = {path.name for path in run_dir.iterdir()}
    assert names == {
        "checkpoints",
        "config.json",
        "history.csv",
        "model.keras",
        "tensorboard",
        "training.png",
    }
    config = json.loads((run_dir / "config.json").read_text())
    manifest = json.loads((path_dataset_dir / "manifest.json").read_text())
    assert config["settings"] == {**SETTINGS.to_json(), "architecture": "folded"}
    assert config["dataset"]["fingerprint"] == manifest["fingerprint"]
    assert config["versions"]["keras"] == keras.__version__
    assert [path.name for path in sorted((run_dir / "checkpoints").iterdir())] == [
        "best.keras",
        "step-00000015.keras",
        "step-00000030.keras",
    ]
    assert image.imread(run_dir / "training.png").shape[1] > 800
    assert list((run_dir / "tensorboard" / "train").glob("events*"))
    assert list((run_dir / "tensorboard" / "validation").glob("events*"))


def test_history_has_a_row_an_epoch(run_dir: Path) -> None:
    rows = read_history(str(run_dir / "history.csv"))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "15"), ("2", "30")]
    for row in rows:
        assert 0 < float(row["loss"]) < 10
        assert 0 <= float(row["val_accuracy"]) <= 1
        assert float(row["sequences_per_second"]) == pytest.approx(240 / float(row["seconds"]), rel=0.01)


@pytest.mark.parametrize(
    "dataset_dir", ["path", pytest.param("frames", marks=pytest.mark.slow)], indirect=True
)
def test_training_learns(tmp_path: Path, dataset_dir: Path) -> None:
    # All but the last layer know which way a line goes; it answers 0.5, and has to learn which way is which.
    settings = TrainingSettings(epochs=1, steps_per_epoch=5, batch_size=32, readers=4, learning_rate=0.01)
    run = tmp_path / "run"
    begin_with_weights(run, dataset_dir, settings, weights_that_know(0))
    result = train(settings, str(dataset_dir), str(run))
    assert (result.resumed_from, result.step) == (0, 5)
    assert float(result.history[-1]["val_accuracy"]) > 0.95


@pytest.mark.slow
def test_every_step_lowers_the_loss(tmp_path: Path, path_dataset_dir: Path) -> None:
    # Small steps, each on all of the data: what they gain is thousands of times float32's rounding.
    settings = TrainingSettings(
        epochs=5, steps_per_epoch=1, batch_size=600, readers=4, learning_rate=0.001, schedule="constant"
    )
    result = train(settings, str(path_dataset_dir), str(tmp_path / "run"))
    for name in ("loss", "val_loss"):
        losses = [float(row[name]) for row in result.history]
        assert losses == sorted(losses, reverse=True), name
        assert losses[0] - losses[-1] > 0.002, name


@pytest.mark.slow
def test_the_model_takes_frames_and_loads_with_plain_keras(run_dir: Path) -> None:
    import subprocess
    import sys

    code = (
        "import keras, numpy, model;"
        f"m = keras.models.load_model({str(run_dir / 'model.keras')!r});"
        "print(m.predict(numpy.zeros((3, 8, 8, 8, 1)), verbose=0).shape, int(m.optimizer.iterations))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split("\n")[0] == "(3, 1) 30"


@pytest.mark.slow
def test_the_same_request_gives_the_same_weights(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path
) -> None:
    train(SETTINGS, str(path_dataset_dir), str(tmp_path / "again"))
    _assert_same_weights(tmp_path / "again", run_dir)


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_same_weights_and_history(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path
) -> None:
    # What is left of a run that was killed in its second epoch.
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "history.csv", "checkpoints/step-00000015.keras"):
        shutil.copy(run_dir / name, run / name)
    shutil.copy(run / "checkpoints/step-00000015.keras", run / "checkpoints/best.keras")
    result = train(SETTINGS, str(path_dataset_dir), str(run))
    assert (result.resumed_from, result.step) == (15, 30)
    _assert_same_weights(run, run_dir)
    timed = {"seconds", "sequences_per_second", "input_wait"}
    histories = [
        [{k: v for k, v in row.items() if k not in timed} for row in read_history(str(path / "history.csv"))]
        for path in (run, run_dir)
    ]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    (run / "model.keras").unlink()
    newest = run / "checkpoints" / "step-00000030.keras"
    newest.write_bytes(newest.read_bytes()[:1000])
    result = train(SETTINGS, str(path_dataset_dir), str(run))
    assert (result.resumed_from, result.step) == (15, 30)
    assert "step-00000030.keras is damaged" in capfd.readouterr().err
    _assert_same_weights(run, run_dir)


def test_a_finished_run_is_left_alone(
    run_dir: Path, path_dataset_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
    assert main(_flags(run_dir, path_dataset_dir)) == 0
    assert "nothing to do" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")} == before


@pytest.mark.slow
def test_an_epoch_is_a_pass_over_the_data_by_default(tmp_path: Path, path_dataset_dir: Path) -> None:
    settings = TrainingSettings(epochs=1, batch_size=64, readers=4)
    assert train(settings, str(path_dataset_dir), str(tmp_path / "run")).step == 600 // 64


@pytest.mark.slow
def test_a_constant_schedule_keeps_the_rate(tmp_path: Path, path_dataset_dir: Path) -> None:
    settings = TrainingSettings(epochs=1, steps_per_epoch=2, readers=4, schedule="constant")
    train(settings, str(path_dataset_dir), str(tmp_path / "run"))
    classifier = load_trained_model(RunDirectory(str(tmp_path / "run"))).classifier
    assert float(classifier.optimizer.learning_rate) == pytest.approx(settings.learning_rate)


def _flags(run: Path, data: Path, *more: str) -> list[str]:
    return [
        f"--data_dir={data}",
        f"--model_dir={run}",
        "--epochs=2",
        "--steps_per_epoch=15",
        "--batch_size=16",
        "--readers=4",
        "--learning_rate=0.01",
        *more,
    ]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--data_dir={data}", "--model_dir"),
        ("--model_dir={new}", "--data_dir"),
        ("--model_dir={new} --data_dir={tmp}/no", "no such directory"),
        ("--model_dir={new} --data_dir={tmp}/other", "not a finished data set"),
        ("--model_dir={new} --data_dir={data} --epochs=0", "--epochs"),
        ("--model_dir={new} --data_dir={data} --steps_per_epoch=-1", "--steps_per_epoch"),
        ("--model_dir={new} --data_dir={data} --batch_size=0", "--batch_size"),
        ("--model_dir={new} --data_dir={data} --batch_size=601", "--batch_size 601"),
        ("--model_dir={new} --data_dir={data} --readers=17", "--readers 17"),
        ("--model_dir={new} --data_dir={data} --learning_rate=0", "--learning_rate 0"),
        ("--model_dir={new} --data_dir={data} --learning_rate=nan", "--learning_rate nan"),
        ("--model_dir={new} --data_dir={data} --learning_rate=fast", "--learning_rate"),
        ("--model_dir={new} --data_dir={data} --clip_norm=-1", "--clip_norm -1"),
        ("--model_dir={new} --data_dir={data} --schedule=linear", "--schedule linear"),
        ("--model_dir={new} --data_dir={data} --architecture=deep", "--architecture deep"),
        ("--model_dir={new} --data_dir={data} --seed=-1", "--seed"),
        ("--model_dir={new} --data_dir={data} --seed=4294967296", "--seed 4294967296"),
        ("--model_dir={new} --data_dir={data} --device=tpu", "--device"),
        ("--model_dir={new} --data_dir={data} --device=gpu", "sees no GPU"),
        ("--model_dir={new} --data_dir={data} --batchsize=3", "--batchsize"),
        ("--model_dir= --data_dir={data}", "--model_dir"),
        ("--model_dir={new} --data_dir=", "--data_dir"),
        ("--model_dir={new} --data_dir={tmp}/other/file", "cannot be read"),
        ("--model_dir={new} --data_dir=foo://x", "cannot be read"),
        ("--model_dir={new} --data_dir={data} --epochs=1000000000000000000000", "--epochs"),
        ("--model_dir={new} --data_dir={data} --epochs=99999 --steps_per_epoch=99999", "2\\*\\*31"),
        ("--model_dir={tmp}/odd --data_dir={data}", "config.json is damaged"),
        ("--model_dir={tmp}/other --data_dir={data}", "holds something else"),
        ("--model_dir={tmp}/other/file --data_dir={data}", "holds something else"),
        ("--model_dir={tmp}/damaged --data_dir={data}", "config.json is damaged"),
        ("--model_dir={run} --data_dir={data} --epochs=3", "epochs 2, not 3"),
        ("--model_dir={run} --data_dir={frames}", "dataset sha256:"),
    ],
)
def test_wrong_requests(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, frames_dir: Path, flags: str, named: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text("[]")
    new = tmp_path / "new"
    before = sorted(path.stat().st_mtime_ns for path in run_dir.rglob("*"))
    text = flags.format(tmp=tmp_path, new=new, data=path_dataset_dir, run=run_dir, frames=frames_dir)
    with pytest.raises(RequestError, match=named):
        main(["--readers=4", *text.split()])
    assert not new.exists()
    assert sorted(path.stat().st_mtime_ns for path in run_dir.rglob("*")) == before


@pytest.fixture(scope="session")
def frames_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "frames", encoding="frames")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / "d")
    gone = "moving_line-train.tfrecord-00007-of-00016"
    (directory / gone).unlink()
    with pytest.raises(WorkError, match=f"{gone}: is missing"):
        train(SETTINGS, str(directory), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["train", pytest.param("validation", marks=pytest.mark.slow)])
def test_a_damaged_record_is_named(tmp_path: Path, split: str) -> None:
    directory = make_dataset(tmp_path / "d")
    shard = directory / f"moving_line-{split}.tfrecord-00002-of-00016"
    content = bytearray(shard.read_bytes())
    record_bytes = 56  # 16 of framing, 40 of the Example that holds a path of 8.
    content[record_bytes + 20] ^= 1
    shard.write_bytes(bytes(content))
    named = f"{shard.name}: record 1 at byte {record_bytes}: the payload's checksum does not match"
    with pytest.raises(WorkError, match=named):
        train(SETTINGS, str(directory), str(tmp_path / "run"))


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path, path_dataset_dir: Path) -> None:
    settings = TrainingSettings(epochs=3, steps_per_epoch=5, learning_rate=1e38)
    with pytest.raises(WorkError, match="is not finite"):
        train(settings, str(path_dataset_dir), str(tmp_path / "run"))
    assert not (tmp_path / "run" / "model.keras").exists()
    for path in (tmp_path / "run" / "checkpoints").glob("*"):
        weights = keras.models.load_model(path).get_weights()
        assert all(np.isfinite(weight).all() for weight in weights)


@pytest.mark.parametrize("content", [None, pytest.param(b"PK cut short", marks=pytest.mark.slow)])
def test_a_missing_or_damaged_model_is_written_again(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, content: bytes | None
) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    (run / "model.keras").unlink()
    if content is not None:
        (run / "model.keras").write_bytes(content)
    assert train(SETTINGS, str(path_dataset_dir), str(run)).step == 30
    _assert_same_weights(run, run_dir)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first_loss", "best"), [(LOWEST, 15), pytest.param(HIGHEST, 30, marks=pytest.mark.slow)]
)
def test_the_model_is_the_one_with_the_lowest_validation_loss(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, first_loss: str, best: int
) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    set_back(run, 15, first_loss)
    result = train(SETTINGS, str(path_dataset_dir), str(run))
    assert (result.resumed_from, result.step, result.kept) == (15, 30, best)
    losses = {int(row["step"]): float(row["val_loss"]) for row in result.history}
    assert min(losses, key=lambda step: losses[step]) == best
    assert load_trained_model(RunDirectory(str(run))).step == best
    expected = keras.models.load_model(run / "checkpoints" / f"step-{best:08d}.keras").get_weights()
    for mine, theirs in zip(_weights(run), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_finished_run_needs_no_history(tmp_path: Path, run_dir: Path, path_dataset_dir: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(run_dir, run)
    (run / "history.csv").write_text("junk")
    assert main(_flags(run, path_dataset_dir)) == 0
    _assert_same_weights(run, run_dir)


@pytest.mark.slow
def test_the_program_trains_and_says_so(tmp_path: Path, path_dataset_dir: Path, program: Program) -> None:
    done = program("trainer.task", *_flags(tmp_path / "run", path_dataset_dir))
    assert done.returncode == 0, done.stderr
    assert "device: CPU" in done.stdout
    assert "trained for 30 steps; kept the model after step" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_the_program_refuses_in_one_line(tmp_path: Path, path_dataset_dir: Path, program: Program) -> None:
    done = program("trainer.task", *_flags(tmp_path / "run", path_dataset_dir, "--device=gpu"))
    assert done.returncode == 2
    assert done.stderr.startswith("trainer.task: error: --device gpu: TensorFlow sees no GPU")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
