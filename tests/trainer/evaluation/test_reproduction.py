"""Judging again: every number agrees, or is named."""

import json
import shutil
from pathlib import Path

import keras
import pytest

from pipeline.command_line.errors import RequestError
from tests.conftest import Program, make_dataset
from trainer.evaluate import main


@pytest.fixture(scope="module")
def run_dir(seeded_run: Path) -> Path:
    """A run whose answers are well apart from 0.5 and from one another on every machine."""
    return seeded_run


@pytest.fixture(scope="module")
def judged(path_dataset_dir: Path, run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """metrics.json with everything that a request may ask for."""
    directory = tmp_path_factory.mktemp("judged")
    slices = directory / "mine.py"
    slices.write_text(
        "from trainer.evaluation.slices import slicing\n"
        "slicing('odd', 'even', 'odd')(lambda paths, labels: (paths[:, 0] % 2).astype(int))\n"
    )
    output = directory / "m.json"
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", f"--output={output}"]
    more = ["--flips=0,0.1", "--seed=7", "--split=validation", "--batch_size=32", f"--slices={slices}"]
    assert main([*flags, *more]) == 0
    return output


def test_the_same_is_the_same(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = judged.read_bytes()
    assert main([f"--reproduce={judged}"]) == 0
    assert capsys.readouterr().out == f"same: every number of {judged}\n"
    assert judged.read_bytes() == before


def test_a_document_of_the_version_before_is_the_same(
    tmp_path: Path, judged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(judged.read_text())
    request = document["request"]
    request["noise"] = request.pop("flips")  # All in which the versions differ.
    old = tmp_path / "old.json"
    old.write_text(json.dumps({**document, "schema_version": 2}))
    assert main([f"--reproduce={old}"]) == 0
    assert capsys.readouterr().out == f"same: every number of {old}\n"


@pytest.mark.storm
def test_the_same_in_processes_of_their_own(judged: Path, program: Program) -> None:
    again = judged.parent / "again.json"
    asked = json.loads(judged.read_text())
    flags = [f"--data_dir={asked['dataset']['path']}", f"--model_dir={asked['model']['run']}", "--flips=0.1"]
    assert program("trainer.evaluate", *flags, f"--output={again}").returncode == 0
    done = program("trainer.evaluate", f"--reproduce={again}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"same: every number of {again}\n"


def test_an_altered_model_is_named_by_its_numbers(
    tmp_path: Path, judged: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = tmp_path / "run"
    shutil.copytree(run_dir, altered)
    classifier = keras.models.load_model(altered / "model.keras")
    weights = classifier.get_weights()
    weights[-1] = weights[-1] + 0.5
    classifier.set_weights(weights)
    state = _state_of(altered / "model.keras")
    classifier.save(altered / "model.keras")
    _add_state(altered / "model.keras", state)
    assert main([f"--reproduce={judged}", f"--model_dir={altered}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("different: ")
    named = {line.split(":")[0].strip() for line in lines[1:]}
    assert {"model.sha256", "metrics.loss", "metrics.brier_score"} <= named
    assert not any(name.startswith(("dataset", "request", "throughput")) for name in named)


def test_an_altered_data_set_is_named_by_its_numbers(
    tmp_path: Path, judged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_dataset(tmp_path / "d", seed=11)
    assert main([f"--reproduce={judged}", f"--data_dir={other}"]) == 1
    named = {line.split(":")[0].strip() for line in capsys.readouterr().out.splitlines()[1:]}
    assert {"dataset.fingerprint", "dataset.content_sha256", "metrics.loss"} <= named
    assert "model.sha256" not in named


def test_the_same_sequences_in_another_encoding_give_the_same_numbers_to_float32_rounding(
    tmp_path: Path, judged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = make_dataset(tmp_path / "d", encoding="frames")
    assert main([f"--reproduce={judged}", f"--data_dir={frames}"]) == 1
    lines = [line.strip().split(": ", 1) for line in capsys.readouterr().out.splitlines()[1:]]
    differ = dict(line for line in lines if len(line) == 2)
    assert "dataset.fingerprint" in differ
    assert "dataset.content_digest" not in differ
    for name, values in differ.items():
        if name != "dataset.fingerprint":
            then, now = map(float, values.split(", now "))
            assert now == pytest.approx(then, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize(
    ("change", "flags", "named"),
    [
        ({}, ["--split=test"], "leave --split out"),
        ({}, ["--seed=0"], "leave --seed out"),
        ({}, ["--on_corrupt=skip"], "leave --on_corrupt out"),
        ({}, ["--slices=/no/mine.py"], "/no/mine.py: no such file of slicings"),
        ({"environment": None}, [], "is not a metrics.json"),
        ({"slices": {}}, ["--slices=pyproject.toml"], "is not the recorded file of slicings"),
        ({}, ["--flips=0.1", "--output=x.json"], "leave --output, --flips out"),
        ({"dataset": {}}, [], "is not a metrics.json"),
        ({"model": {}}, [], "does not say what was asked for"),
        ({"schema_version": 9}, [], "has schema version 9"),
        ({"model": {"run": "/no/run", "path": "/no/run/model.keras"}}, [], "/no/run: no such directory"),
        ({"model": {"run": "{run}", "path": "{run}/checkpoints/x.keras"}}, [], "x.keras: no such file"),
    ],
)
def test_wrong_requests(
    tmp_path: Path, judged: Path, run_dir: Path, change: dict[str, object], flags: list[str], named: str
) -> None:
    document = {**json.loads(judged.read_text()), **change}
    path = tmp_path / "m.json"
    path.write_text(json.dumps(document).replace("{run}", str(run_dir)))
    with pytest.raises(RequestError, match=named):
        main([f"--reproduce={path}", *flags])


def _state_of(path: Path) -> bytes:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return archive.read("training_state.json")


def _add_state(path: Path, state: bytes) -> None:
    import zipfile

    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("training_state.json", state)
