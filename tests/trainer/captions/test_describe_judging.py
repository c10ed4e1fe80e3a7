"""Judging models that describe: texts and sums over tokens are those of the model, also of shuffled clips."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import sacrebleu

from model.captions import END, PAD, SPECIAL, START, decoder_of
from pipeline.command_line.errors import RequestError
from tests.conftest import ROOT
from tests.processes import environment, run_python
from tests.trainer.captions import data_sets
from trainer.evaluate import main
from trainer.evaluation.captions.metrics import shuffled_places
from trainer.evaluation.evaluator import EvaluationRequest
from trainer.input.batches import sequential_batches
from trainer.input.split_files import read_manifest, split_files
from trainer.input.vocabulary import Vocabulary
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.tasks.trainable_kind import trained_kind
from trainer.training.loop import train
from trainer.training.settings import TrainingSettings

SCHEMA = json.loads((ROOT / "docs" / "metrics.schema.json").read_text())


def _judged(output: Path, data: Path, run: Path, *flags: str) -> dict[str, Any]:
    assert main([f"--data_dir={data}", f"--model_dir={run}", f"--output={output}", *flags]) == 0
    document: dict[str, Any] = json.loads(output.read_text())
    jsonschema.validate(document, SCHEMA)
    return document


class Plain:
    """The model of a run, asked for one word of all clips after the other."""

    def __init__(self, data: Path, run: Path) -> None:
        directory = RunDirectory(str(run))
        trained = load_trained_model(directory)
        view = trained_kind(directory).view(trained.settings)
        assert view is not None
        files = split_files(str(data), read_manifest(str(data)), "test")
        files = files.shown(replace(view.judged(), has_names=True))
        self.model = trained.classifier
        self.vocabulary = Vocabulary(decoder_of(self.model).words, trained.settings.max_words)
        features, _ = sequential_batches(files, batch_size=1000).as_numpy_iterator().next()
        self.clips = {name: features[name] for name in ("frames", "length")}
        self.references = [text.decode().split("\n") for text in features["caption"]]

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """Of every token (n, L, V), after those before it (n, L)."""
        words = np.concatenate([np.full((len(tokens), 1), START), tokens[:, :-1]], axis=1).astype(np.int32)
        answers: np.ndarray = self.model.predict_on_batch({**self.clips, "words": words})
        return answers.astype(np.float64)

    def written(self) -> list[tuple[str, float]]:
        """The most probable word after the other."""
        most = self.vocabulary.max_words
        tokens = np.full((len(self.references), most + 1), PAD)
        scores = np.zeros(len(tokens))
        for place in range(most + 1):
            found = self.probabilities(tokens)[:, place]
            allowed = [END, *range(len(SPECIAL), found.shape[1])] if place < most else [END]
            found[:, ~np.isin(np.arange(found.shape[1]), allowed)] = 0
            is_writing = ~(tokens == END).any(axis=1)
            tokens[is_writing, place] = found[is_writing].argmax(axis=1)
            scores[is_writing] += np.log(found[is_writing].max(axis=1))
        texts = [self.vocabulary.text(row) for row in tokens.tolist()]
        return list(zip(texts, scores.tolist(), strict=True))

    def scores(self, places: np.ndarray) -> tuple[float, float]:
        """Perplexity and accuracy of the tokens of first captions of clips ``places[i]``, shown clip i."""
        tokens = np.array([self.vocabulary.tokens(self.references[place][0]) for place in places])
        found, is_real = self.probabilities(tokens), tokens != PAD
        chosen = np.take_along_axis(found, tokens[..., None], axis=-1)[..., 0]
        right = (found.argmax(axis=-1) == tokens)[is_real].mean()
        return float(np.exp(-np.log(chosen[is_real]).mean())), float(right)


def test_numbers_are_those_of_word_after_word(tmp_path: Path, balls_dir: Path, balls_run: Path) -> None:
    document = _judged(tmp_path / "m.json", balls_dir, balls_run, "--batch_size=7")
    plain = Plain(balls_dir, balls_run)
    written = plain.written()
    predicted, references = [text for text, _ in written], plain.references
    metrics, shuffled = document["metrics"], document["shuffled"]
    assert document["dataset"]["num_sequences"] == len(predicted) == 60
    assert metrics["exact_match"] == np.mean([a in b for a, b in zip(predicted, references, strict=True)])
    assert metrics["mean_log_probability"] == pytest.approx(
        np.mean([score for _, score in written]), rel=1e-5
    )
    assert metrics["distinct_captions"] == len(set(predicted))
    streams = [[each[place] if place < len(each) else None for each in references] for place in range(2)]
    bleu = sacrebleu.corpus_bleu(predicted, streams, tokenize="none")  # type: ignore[arg-type]
    assert metrics["bleu_4"] == pytest.approx(bleu.score)
    places = np.arange(60)
    other = shuffled_places(60)
    assert other is not None
    assert not (other == places).any()
    for found, order in ((metrics, places), (shuffled, other)):
        perplexity, accuracy = plain.scores(order)
        assert found["perplexity"] == pytest.approx(perplexity, rel=1e-5)
        assert found["token_accuracy"] == pytest.approx(accuracy)
    exact = np.mean([text in references[place] for text, place in zip(predicted, other, strict=True)])
    assert shuffled["exact_match"] == exact
    sha = json.loads((balls_run / "vocabulary.json").read_text())["sha256"]
    assert document["captions"]["vocabulary_sha256"] == sha
    sample = document["worst"][0]
    assert sample["predicted"] == predicted[sample["number"]]
    assert sample["references"] == references[sample["number"]]


@pytest.mark.slow
def test_who_looks_is_better_than_who_does_not(tmp_path: Path) -> None:
    data = data_sets.described_balls(tmp_path / "d", num_train=480)
    settings = TrainingSettings(
        task="describe",
        epochs=3,
        batch_size=16,
        learning_rate=0.004,
        num_frames=4,
        max_words=6,
        attention=True,
    )
    train(settings, str(data), str(tmp_path / "run"))
    document = _judged(tmp_path / "m.json", data, tmp_path / "run", f"--plots={tmp_path / 'report'}")
    assert document["metrics"]["exact_match"] > 0.9
    assert document["shuffled"]["exact_match"] < 0.6
    assert document["metrics"]["perplexity"] < 0.8 * document["shuffled"]["perplexity"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert document["best"][0]["predicted"] in page


def test_again_every_number_is_the_same(
    tmp_path: Path, balls_dir: Path, balls_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = _judged(tmp_path / "m.json", balls_dir, balls_run, "--beam=3", "--length_penalty=0.5")
    assert document["captions"]["decoding"] == {"beam": 3, "length_penalty": 0.5, "max_words": 7}
    assert (document["request"]["beam"], document["request"]["length_penalty"]) == (3, 0.5)
    assert main([f"--reproduce={tmp_path / 'm.json'}"]) == 0
    assert "same: every number" in capsys.readouterr().out


def test_a_penalty_of_0_is_part_of_the_request() -> None:
    request = EvaluationRequest("data", "run", beam=4, length_penalty=0.0, single_frame=False)
    asked = request.to_json()
    assert (asked["beam"], asked["length_penalty"]) == (4, 0.0)
    assert "single_frame" not in asked
    with pytest.raises(RequestError, match="--length_penalty: is of captions; leave it out"):
        request.judging.refuse("is of captions", "views", "length_penalty")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--beam=4",)])
def test_jax_writes_the_same_captions(
    tmp_path: Path, balls_dir: Path, balls_run: Path, flags: tuple[str, ...]
) -> None:
    pytest.importorskip("jax")
    mine = _judged(tmp_path / "m.json", balls_dir, balls_run, *flags)
    request = [
        f"--data_dir={balls_dir}",
        f"--model_dir={balls_run}",
        f"--output={tmp_path / 'j.json'}",
        *flags,
    ]
    done = run_python("-m", "trainer.evaluate", *request, variables=environment(KERAS_BACKEND="jax"))
    assert done.returncode == 0, done.stderr
    theirs = json.loads((tmp_path / "j.json").read_text())
    assert mine["by_position"] == theirs["by_position"]
    assert mine["metrics"]["exact_match"] == theirs["metrics"]["exact_match"]
    for name in ("perplexity", "mean_log_probability"):
        assert mine["metrics"][name] == pytest.approx(theirs["metrics"][name], rel=1e-4)
    texts = [[(row["number"], row["predicted"]) for row in each["best"]] for each in (mine, theirs)]
    assert sorted(texts[0]) == sorted(texts[1])


@pytest.mark.slow
def test_every_checkpoint_is_judged_beside_a_training(
    tmp_path: Path, balls_dir: Path, balls_run: Path
) -> None:
    assert main([f"--data_dir={balls_dir}", f"--model_dir={balls_run}", "--watch"]) == 0
    lines = (balls_run / "evaluations" / "evaluations.jsonl").read_text().splitlines()
    documents = [json.loads(line) for line in lines]
    assert [each["model"]["step"] for each in documents] == [5, 10, 12, 15, 20, 24]
    last = _judged(
        tmp_path / "m.json",
        balls_dir,
        balls_run,
        "--split=validation",
        f"--checkpoint={balls_run / 'checkpoints' / 'step-00000024.keras'}",
    )
    assert documents[-1]["metrics"] == last["metrics"]


def test_checks_name_words(
    tmp_path: Path, balls_dir: Path, balls_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = tmp_path / "checks.yaml"
    checks.write_text(
        "slices.word.red.exact_match: {min: 0}\nshuffled.exact_match: {max: 1}\n"
        "by_position.2.accuracy: {min: 1.5}\n"
    )
    flags = [f"--data_dir={balls_dir}", f"--model_dir={balls_run}", f"--checks={checks}"]
    assert main([*flags, f"--output={tmp_path / 'm.json'}"]) == 1
    assert "2 of 3 checks passed" in capsys.readouterr().out


def test_one_clip_has_no_other(tmp_path: Path, balls_run: Path) -> None:
    data = data_sets.described_balls(tmp_path / "d", num_test=1)
    document = _judged(tmp_path / "m.json", data, balls_run)
    assert document["shuffled"] is None


def test_damaged_records_are_left_out_and_counted(tmp_path: Path, balls_run: Path) -> None:
    data = data_sets.described_balls(tmp_path / "d")
    (shard, *_) = sorted(data.glob("*-test.tfrecord-*-of-*"))
    content = bytearray(shard.read_bytes())
    content[60] ^= 1
    shard.write_bytes(bytes(content))
    document = _judged(tmp_path / "m.json", data, balls_run, "--on_corrupt=skip")
    assert document["dataset"]["num_sequences"] == 59
    assert 0 not in {row["number"] for row in (*document["worst"], *document["best"])}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--views=2", "--views: is of classes, the model writes captions; leave it out"),
        ("--crops=2", "--crops: is of classes"),
        ("--single_frame", "--single_frame: is of classes"),
        ("--flips=0.1", "--flips: is of moving lines"),
        ("--beam=0", "--beam"),
        ("--beam=101", "--beam 101: give a whole number from 1 to 100"),
        ("--length_penalty=-1", "--length_penalty -1.0: give a number from 0 to 10"),
        ("--length_penalty=nan", "--length_penalty nan: give a number from 0 to 10"),
        ("--checks={tmp}/checks.yaml", "there is no number slices.word.purple.exact_match; did you mean"),
        ("--slices={tmp}/slices.py", "slicing word: is built in"),
        ("--split=train", "that the model was trained on"),
        ("--data_dir={other}", "trained on frames of shape 24, 32, 3, the data set has 24, 40, 3"),
    ],
)
def test_wrong_requests_are_one_line(
    tmp_path: Path, balls_dir: Path, balls_run: Path, flags: str, message: str
) -> None:
    (tmp_path / "checks.yaml").write_text("slices.word.purple.exact_match: {min: 0}\n")
    (tmp_path / "slices.py").write_text(
        "from trainer.evaluation.slices import slicing\n\n"
        "@slicing('word', 'a')\ndef word(examples, labels):\n    return labels * 0\n"
    )
    other = tmp_path / "other"
    if "{other}" in flags:
        data_sets.described_balls(other, width=40, num_train=40)
    request = [f"--data_dir={balls_dir}", f"--model_dir={balls_run}", f"--output={tmp_path / 'm.json'}"]
    with pytest.raises(RequestError, match=message) as error:
        main([*request, *flags.format(tmp=tmp_path, other=other).split()])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "m.json").exists()
