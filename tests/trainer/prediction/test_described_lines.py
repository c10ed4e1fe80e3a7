"""A run that describes moving lines predicts records of frames and arrays, and is exported."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.command_line.errors import RequestError
from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from pipeline.moving_line.definition import MovingLine
from tests.trainer.clip_runs import _initialize
from trainer.evaluation.evaluator import EvaluationRequest, evaluate
from trainer.export import main as export_main
from trainer.predict import main
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.training.settings import DESCRIBE, TrainingSettings


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set of captioned lines, and a run that describes them."""
    root = tmp_path_factory.mktemp("lines")
    data, run = root / "data", root / "run"
    definition = MovingLine(
        image_size=8, encoding="frames", captions=True, num_train=20, num_validation=4, num_test=9
    )
    generate(definition, str(data), direct_num_workers=1)
    settings = TrainingSettings(
        batch_size=4, steps_per_epoch=1, task=DESCRIBE, num_frames=8, units=8, max_words=6
    )
    _initialize(settings, data, run)
    return data, run


def test_records_and_arrays_of_lines_are_described(
    tmp_path: Path, lines: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = lines
    dataset = Dataset.open(str(data))
    examples = [dataset.manifest.definition.decode(each) for each in dataset.read("test", 0, 9)]
    np.save(tmp_path / "frames.npy", np.stack([example["frames"] for example in examples]))
    shards = [str(data / shard.file) for shard in dataset.manifest.splits["test"].shards]
    answers = []
    for inputs in (shards, [str(tmp_path / "frames.npy")]):
        capsys.readouterr()
        assert main([f"--model_dir={run}", "--input", *inputs]) == 0
        answers.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    of_records, of_arrays = answers
    assert [each["expected"] for each in of_records] == [list(example["caption"]) for example in examples]
    for name in ("caption", "log_probability", "start", "end"):
        assert [each[name] for each in of_records] == [each[name] for each in of_arrays]
    assert len({each["log_probability"] for each in of_records}) > 1
    picture = tmp_path / "p.png"
    flags = [f"--model_dir={run}", f"--data_dir={data}", "--num_sequences=2", f"--output={picture}"]
    assert main(flags) == 0
    verdict, _, _ = capsys.readouterr().out.splitlines()
    expected = of_records[0]["expected"][0]
    assert verdict.startswith(
        f"Expected: {expected}, Predicted: {of_records[0]['caption']} (log-probability "
    )
    assert picture.exists()


def test_white_is_white(lines: tuple[Path, Path], tmp_path: Path) -> None:
    """Pixels of lines are 0 and 1: the network and pictures have to know."""
    encoder = load_trained_model(RunDirectory(str(lines[1]))).classifier.get_layer("encoder").encoder
    answers = encoder.get_layer("rescaling")(np.array([[0.0, 1.0]]))
    np.testing.assert_array_equal(answers, [[-0.5, 0.5]])
    request = EvaluationRequest(str(lines[0]), str(lines[1]))
    strips = evaluate(request).evidence.strips
    assert {int(value) for strip in strips.values() for value in np.unique(strip)} == {0, 255}


def test_lines_from_a_seed_are_classified_only(lines: tuple[Path, Path]) -> None:
    with pytest.raises(RequestError, match="the model was trained on others, or to describe"):
        main([f"--model_dir={lines[1]}", "--seed=1"])


@pytest.mark.slow
def test_a_captioner_of_lines_is_exported(tmp_path: Path, lines: tuple[Path, Path]) -> None:
    assert export_main([f"--model_dir={lines[1]}", f"--output_dir={tmp_path / 'x'}"]) == 0
