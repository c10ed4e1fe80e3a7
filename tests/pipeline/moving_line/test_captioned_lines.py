"""Moving lines with a caption beside their frames."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from pipeline.command_line.errors import RequestError
from pipeline.dataset.captions import normalised
from pipeline.dataset.features import Text
from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.encodings import CAPTIONED_FRAMES, CAPTIONS, ENCODINGS
from pipeline.moving_line.lines import sample_sequences
from pipeline.preview import main as preview_main
from pipeline.storage.tf_example import decode_example, encode_example
from pipeline.storage.tfrecord import frame_record
from pipeline.verification.dataset_check import verify
from tests.conftest import SMALL, Program

# Written down once: see `GOLDEN_FINGERPRINTS` in tests/pipeline/test_generate.py.
FINGERPRINT = "sha256:a22ae747ffe4578b0de9853fedd2043d476e599b29f7ecd515752c0fc4c69cec"
SHARD = "moving_line-train.tfrecord-00003-of-00016"


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("captioned") / "D"
    generate(_settings(), str(directory), direct_num_workers=1)
    return directory


def _settings(**changes: object) -> MovingLine:
    settings = {"seed": 3, "image_size": 8, "encoding": "frames", "captions": True, **SMALL, **changes}
    return MovingLine(**settings)  # type: ignore[arg-type]


def test_every_record_says_which_way_its_line_grows(captioned: Path) -> None:
    dataset = Dataset.open(str(captioned))
    assert dataset.manifest.features["caption"] == Text(is_list=True)
    definition = dataset.manifest.definition
    examples = [definition.decode(payload) for payload in dataset.read("test", 0, 150)]
    labels = sample_sequences(3, "test", 8, 0, 150)[1]
    words = ("a line grows to the left", "a line grows to the right")
    assert [example["caption"] for example in examples] == [[words[label]] for label in labels]
    assert [normalised(text) for text in words] == list(CAPTIONS)


def test_the_rest_is_as_without_captions(captioned: Path, tmp_path: Path) -> None:
    plain, _ = generate(_settings(captions=False), str(tmp_path / "D"), direct_num_workers=1)
    manifest = Dataset.open(str(captioned)).manifest
    assert manifest.fingerprint == FINGERPRINT
    assert manifest.content_digest == plain.content_digest
    assert manifest.settings == {**plain.settings, "captions": True}
    assert "captions" not in plain.settings
    pairs = zip(
        *(Dataset.open(str(each)).read("train", 0, 600) for each in (captioned, tmp_path / "D")), strict=True
    )
    for one, other in pairs:
        features = decode_example(one)
        del features["caption"]
        assert features == decode_example(other)


@pytest.mark.parametrize("image_size", [5, 20, 50])
def test_records_have_the_size_that_the_encoding_says(image_size: int) -> None:
    size = len(CAPTIONED_FRAMES.encode(*sample_sequences(0, "train", image_size, 0, 400))) / 400
    assert CAPTIONED_FRAMES.record_bytes(image_size) == pytest.approx(size, rel=0.15)


def test_damage_is_named_and_repaired(captioned: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(captioned, tmp_path / "D"))
    assert verify(str(directory)).passed
    before = (directory / SHARD).read_bytes()
    place = before.index(b"a line grows")
    (directory / SHARD).write_bytes(before[:place] + b"A" + before[place + 1 :])
    (problem,) = verify(str(directory)).problems
    assert (problem.file, problem.record) == (SHARD, 0)
    assert verify(str(directory), repair=True).passed
    assert (directory / SHARD).read_bytes() == before


def test_records_with_another_caption_or_without_one_are_found(captioned: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(captioned, tmp_path / "D"))
    before = (directory / SHARD).read_bytes()
    (payload,) = Dataset.open(str(captioned)).read("train", 112, 1)
    (stored,), (label,) = (decode_example(payload)[name] for name in ("frames", "label"))
    assert isinstance(stored, bytes)
    assert isinstance(label, int)
    framed = frame_record(payload)
    assert framed in before
    captions: list[dict[str, bytes | int]] = [{}, {"caption": CAPTIONS[1 - label].encode()}, {"caption": 1}]
    for caption in captions:
        changed = encode_example({"frames": stored, "label": label, **caption})
        (directory / SHARD).write_bytes(before.replace(framed, frame_record(changed)))
        assert SHARD in {problem.file for problem in verify(str(directory)).problems}
        if caption:
            with pytest.raises(ValueError, match=r"caption .*, expected 'a line grows to the"):
                ENCODINGS["frames"].decode_record(changed, 8)


def test_tfds_reads_the_captions(captioned: Path) -> None:
    builder = tfds.builder_from_directory(str(captioned))
    for example in tfds.as_numpy(builder.as_dataset(split="validation")):
        assert example["frames"].shape == (8, 8, 8, 1)
        assert [text.decode() for text in example["caption"]] == [CAPTIONS[example["label"]]]
    assert builder.info.supervised_keys == ("frames", "label")


def test_pictures_have_the_captions_as_titles(captioned: Path, tmp_path: Path) -> None:
    flags = ["--num_sequences", "3", "--split", "test"]
    assert preview_main(["--output", str(tmp_path / "a.svg"), "--data_dir", str(captioned), *flags]) == 0
    settings = ["--seed=3", "--image_size=8", "--encoding=frames", "--captions"]
    assert preview_main(["--output", str(tmp_path / "b.svg"), *settings, *flags]) == 0
    labels = sample_sequences(3, "test", 8, 0, 3)[1]
    for name in ("a.svg", "b.svg"):
        text = (tmp_path / name).read_text()
        assert [text.count(f", {caption} -->") for caption in CAPTIONS] == np.bincount(
            labels, minlength=2
        ).tolist()


def test_the_program_makes_them(captioned: Path, tmp_path: Path, program: Program) -> None:
    sizes = [f"--{name}={count}" for name, count in SMALL.items()]
    flags = ["--seed=3", "--image_size=8", "--encoding=frames", "--direct_num_workers=1", *sizes]
    done = program("pipeline.generate", f"--output_dir={tmp_path / 'D'}", "--captions", *flags)
    assert done.returncode == 0, done.stderr
    assert FINGERPRINT in done.stdout
    done = program("pipeline.generate", f"--output_dir={tmp_path / 'D'}", *flags)
    assert done.returncode == 2
    assert "captions True, not None" in done.stderr


def test_paths_have_no_captions() -> None:
    with pytest.raises(RequestError, match="--captions: records of path have none; add --encoding frames"):
        _settings(encoding="path")
