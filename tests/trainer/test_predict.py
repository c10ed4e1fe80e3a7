import re
from pathlib import Path

import pytest
from matplotlib import image

from pipeline.command_line.errors import RequestError
from pipeline.moving_line.lines import CLASS_NAMES, sample_sequences
from tests.conftest import Program
from tests.runs import copy_with_weights, weights_that_know
from trainer.predict import main
from trainer.prediction.sequence_prediction import FRESH_SPLIT, predict

LINE = re.compile(r"Expected: (Left|Right), Predicted: (Left|Right) \(probability (\d\.\d{4})\)")


def _expected(lines: list[str]) -> list[str]:
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found)
    return [match[1].lower() for match in found if match]


def test_sequences_of_a_split_are_named_by_their_labels(
    run_dir: Path, dataset_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--split=validation", "--first=30", "--num_sequences=25"]
    assert main([f"--model_dir={run_dir}", f"--data_dir={dataset_dir}", *flags]) == 0
    _, labels = sample_sequences(3, "validation", 8, 30, 25)
    assert _expected(capsys.readouterr().out.splitlines()) == [CLASS_NAMES[label] for label in labels]


def test_fresh_sequences_come_from_the_seed(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--model_dir={run_dir}", "--seed=5", "--num_sequences=12"]) == 0
    _, labels = sample_sequences(5, FRESH_SPLIT, 8, 0, 12)
    assert _expected(capsys.readouterr().out.splitlines()) == [CLASS_NAMES[label] for label in labels]


def test_probabilities_belong_to_the_predicted_class(tmp_path: Path, run_dir: Path) -> None:
    run = copy_with_weights(run_dir, tmp_path / "run", weights_that_know(8))
    predictions = predict(str(run), 200, 0, seed=1)
    for right, line in zip(predictions.right, predictions.verdicts(), strict=True):
        match = LINE.fullmatch(line)
        assert match is not None
        assert (match[2] == "Right") == (right > 0.5)
        assert float(match[3]) >= 0.5
    accuracy = ((predictions.right > 0.5) == predictions.labels).mean()
    assert accuracy > 0.95


def test_the_verdict_is_drawn(tmp_path: Path, run_dir: Path) -> None:
    picture = tmp_path / "p.png"
    assert main([f"--model_dir={run_dir}", "--num_sequences=2", f"--output={picture}"]) == 0
    assert image.imread(picture).shape[0] > 200


@pytest.mark.slow
def test_the_program_prints_verdicts_only(run_dir: Path, program: Program) -> None:
    done = program("trainer.predict", f"--model_dir={run_dir}", "--num_sequences=3")
    assert done.returncode == 0, done.stderr
    assert len(_expected(done.stdout.splitlines())) == 3
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("", "--model_dir"),
        ("--model_dir={tmp}/no", "no such directory"),
        ("--model_dir={run} --num_sequences=0", "--num_sequences"),
        ("--model_dir={run} --first=-1", "--first"),
        ("--model_dir={run} --data_dir={data} --seed=1", "leave --seed out"),
        ("--model_dir={run} --split=test", "add --data_dir"),
        ("--model_dir={run} --data_dir={tmp}", "not a finished data set"),
        ("--model_dir={run} --data_dir={data} --first=149 --num_sequences=2", "has 150"),
        ("--model_dir={run} --output={tmp}/x.bmp", "x.bmp"),
        ("--model_dir={run} --device=gpu", "sees no GPU"),
    ],
)
def test_wrong_requests(
    tmp_path: Path, run_dir: Path, path_dataset_dir: Path, flags: str, named: str
) -> None:
    with pytest.raises(RequestError, match=named):
        main(flags.format(tmp=tmp_path, run=run_dir, data=path_dataset_dir).split())
    assert list(tmp_path.iterdir()) == []
