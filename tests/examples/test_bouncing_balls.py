"""The example of a kind of one's own, through every program that works on data sets."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from bouncing_balls import COLORS, BouncingBalls
from PIL import Image

from pipeline.dataset.reader import Dataset
from pipeline.generate import generate
from tests.conftest import ROOT
from tests.processes import environment, run_python

EXAMPLE = ROOT / "examples" / "bouncing_balls"
SMALL = BouncingBalls(seed=3, num_train=120, num_validation=20, num_test=40)


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("balls") / "d"
    generate(SMALL, str(directory), direct_num_workers=1)
    return directory


def _run(module: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    known = environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(EXAMPLE)]))
    return run_python("-m", module, *arguments, variables=known)


def _files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"}


def test_it_is_short() -> None:
    assert len((EXAMPLE / "bouncing_balls.py").read_text().splitlines()) <= 60


@pytest.mark.slow
def test_processes_make_the_same_bytes(balls: Path, tmp_path: Path) -> None:
    flags = [f"--{name}={value}" for name, value in SMALL.to_json().items() if value is not None]
    command = ["--dataset=bouncing_balls:BouncingBalls", f"--output_dir={tmp_path / 'd'}", *flags]
    done = _run("pipeline.generate", *command, "--direct_num_workers=2")
    assert done.returncode == 0, done.stderr
    assert "data set of bouncing_balls" in done.stdout
    assert Dataset.open(str(balls)).manifest.fingerprint in done.stdout
    assert _files(tmp_path / "d") == _files(balls)
    again = _run("pipeline.generate", *command)
    assert "already complete: nothing to do" in again.stdout


def test_a_dry_run_tells_what_it_would_take(tmp_path: Path) -> None:
    command = ["--dataset=bouncing_balls:BouncingBalls", f"--output_dir={tmp_path / 'd'}", "--dry_run"]
    done = _run("pipeline.generate", *command)
    assert done.returncode == 0, done.stderr
    assert "2,600 (2,000 train, 200 validation, 400 test)" in done.stdout
    assert not (tmp_path / "d").exists()


def test_damage_is_named_and_repaired(balls: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(balls, tmp_path / "d"))
    shard = "bouncing_balls-train.tfrecord-00002-of-00016"
    content = bytearray((directory / shard).read_bytes())
    content[100] ^= 1
    (directory / shard).write_bytes(bytes(content))
    (directory / "features.json").unlink()
    found = _run("pipeline.verify", directory)
    assert found.returncode == 1
    assert f"{shard}: record 0 at byte 0: the payload's checksum does not match" in found.stdout
    repaired = _run("pipeline.verify", directory, "--repair")
    assert repaired.returncode == 0, repaired.stdout
    assert _files(directory) == _files(balls)


def test_without_its_module_verification_says_what_is_missing(balls: Path) -> None:
    done = run_python("-m", "pipeline.verify", balls)
    assert done.returncode == 2
    assert "--dataset bouncing_balls:BouncingBalls: cannot be imported" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_pictures_are_drawn_from_the_data_set_and_from_settings(balls: Path, tmp_path: Path) -> None:
    common = ("--split=test", "--first=5", "--num_sequences=3")
    read = _run("pipeline.preview", f"--output={tmp_path / 'a.png'}", f"--data_dir={balls}", *common)
    settings = ("--dataset=bouncing_balls:BouncingBalls", "--seed=3")
    made = _run("pipeline.preview", f"--output={tmp_path / 'b.png'}", *settings, *common)
    assert (read.returncode, made.returncode) == (0, 0), read.stderr + made.stderr
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3)
    names = [list(COLORS)[SMALL.example("test", index)["label"]] for index in (5, 6, 7)]
    for name in set(names):
        assert (picture == COLORS[name]).all(axis=1).any()


def test_statistics_and_moving_pictures_are_drawn(balls: Path, tmp_path: Path) -> None:
    pictures = f"--statistics={tmp_path / 'a.svg'}", f"--output={tmp_path / 'b.gif'}"
    done = _run("pipeline.preview", *pictures, f"--data_dir={balls}")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "a.svg").read_text()
    assert all(f"<!-- {name} -->" in text for name in (*COLORS, "train, examples", "length of frames"))
    with Image.open(tmp_path / "b.gif") as gif:
        longest = max(len(SMALL.example("train", index)["frames"]) for index in (0, 1))
        assert longest <= getattr(gif, "n_frames", 1)


def test_tfds_opens_it(balls: Path) -> None:
    builder = tfds.builder_from_directory(str(balls))
    assert builder.info.features["label"].names == list(COLORS)
    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    for split, count in SMALL.num_sequences.items():
        read = list(tfds.as_numpy(builder.as_dataset(split=split, read_config=read_config)))
        assert len(read) == count
        for index in (0, count // 2, count - 1):
            expected = SMALL.example(split, index)
            np.testing.assert_array_equal(read[index]["frames"], expected["frames"])
            assert read[index]["label"] == expected["label"]
    frames, label = next(iter(builder.as_dataset(split="test", as_supervised=True)))
    assert frames.shape[1:] == (24, 32, 3)
    assert label.shape == ()


def test_the_document_shows_the_whole_of_it() -> None:
    text = (ROOT / "docs" / "own_data.md").read_text()
    assert f"```python\n{(EXAMPLE / 'bouncing_balls.py').read_text()}```" in text
