"""Data sets and runs that several tests read; made once, by the programs' own functions."""

from __future__ import annotations

import os
import shutil

# The tests describe a machine without a GPU, also where there is one.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["JAX_PLATFORMS"] = "cpu"

import re
import subprocess
import sys
import tempfile
import zlib
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.generate import generate
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.encodings import ENCODINGS
from tests.object_store.store import Store
from trainer.command_line.startup import ask_for_onednn

ask_for_onednn()  # Tests compute beside programs, and as they do.

ROOT = Path(__file__).parent.parent
ENGINE_TOOLS = {"flink": ("java", "mvn")}
SPLITS = ("train", "validation", "test")
SMALL = {"num_train": 600, "num_validation": 70, "num_test": 150}

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--engine``, ``--kills`` and ``--part``."""
    parser.addoption("--engine", action="append", default=[], help="run this engine's tests, too; repeatable")
    parser.addoption("--kills", type=int, help="of each storm of kills only so many")
    parser.addoption("--part", type=_part, metavar="K/N", help="only the K-th of N parts of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the part that was asked for, and so many kills; skip engines' tests, and say what they need."""
    kills, part = config.getoption("--kills"), config.getoption("--part")
    left_out = {
        item
        for item in items
        if (kills is not None and _number(item) >= kills) or (part and not is_in_part(item.nodeid, *part))
    }
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        for mark in item.iter_markers("engine"):
            if (name := mark.args[0]) not in config.getoption("--engine"):
                lacking = [tool for tool in ENGINE_TOOLS.get(name, ()) if shutil.which(tool) is None]
                needs = f"; {' and '.join(lacking)} is missing here" if lacking else ""
                item.add_marker(pytest.mark.skip(reason=f"run by make test-{name}{needs}"))


def _number(item: pytest.Item) -> int:
    """The number in which the tests of one storm differ."""
    return item.callspec.params.get("number", 0) if hasattr(item, "callspec") else 0


def is_in_part(nodeid: str, number: int, count: int) -> bool:
    """Whether a test is in one of ``count`` parts; all parameters of a function are in one."""
    return zlib.crc32(nodeid.partition("[")[0].encode()) % count == number - 1


def _part(text: str) -> tuple[int, int]:
    """The numbers of ``K/N``.

    Raises:
        ArgumentTypeError: if they are none, or K is not one of 1 to N.
    """
    if not re.fullmatch(r"[0-9]+/[0-9]+", text):
        raise ArgumentTypeError(f"{text} is not of the form K/N")
    number, count = map(int, text.split("/"))
    if not 1 <= number <= count:
        raise ArgumentTypeError(f"{text}: there is no such part, give 1/{count} to {count}/{count}")
    return number, count


def make_dataset(
    directory: Path, *, encoding: str = "path", image_size: int = 8, seed: int = 3, **counts: int
) -> Path:
    """A small data set, a copy of one that was made in this process."""
    numbers: dict[str, Any] = {**SMALL, **counts}
    definition = MovingLine(seed=seed, image_size=image_size, encoding=encoding, **numbers)
    shutil.copytree(_made(definition).name, directory, dirs_exist_ok=True)
    return directory


@cache
def _made(definition: MovingLine) -> tempfile.TemporaryDirectory[str]:
    """The data set of a definition; its directory goes with the process."""
    made = tempfile.TemporaryDirectory()
    generate(definition, made.name, direct_num_workers=1)
    return made


@pytest.fixture(scope="session", params=list(ENCODINGS))
def dataset_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 8 x 8 x 8 sequences in each encoding."""
    return make_dataset(tmp_path_factory.mktemp("data") / request.param, encoding=request.param)


@pytest.fixture(scope="session")
def path_dataset_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in path encoding only."""
    return make_dataset(tmp_path_factory.mktemp("data") / "path_only")


@pytest.fixture(scope="session")
def trained_run(path_dataset_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training run on `path_dataset_dir`."""
    from trainer.training.loop import train
    from trainer.training.settings import TrainingSettings

    directory = tmp_path_factory.mktemp("runs") / "run"
    settings = TrainingSettings(epochs=2, steps_per_epoch=15, batch_size=16, readers=4, learning_rate=0.01)
    train(settings, str(path_dataset_dir), str(directory))
    return directory


@pytest.fixture(scope="session")
def run_dir(trained_run: Path) -> Path:
    """The run that tests take, where they do not say which."""
    return trained_run


@pytest.fixture(scope="session")
def seeded_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with weights that are drawn, so that no answer hangs on the course of a training."""
    from tests.runs import copy_with_weights, weights_of_a_seed

    return copy_with_weights(trained_run, tmp_path_factory.mktemp("runs") / "seeded", weights_of_a_seed())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty object store, ``store://``; this process and those that a test starts know it."""
    (tmp_path / "store").mkdir()
    found = Store(tmp_path / "store")
    found.use(monkeypatch)
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MiB: a mount point, and a disk that runs full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted: that takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True, timeout=30)


@pytest.fixture
def program() -> Program:
    """Run a program in a process of its own, as a user does."""

    def run(module: str, *arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [sys.executable, "-m", module, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # Other libraries set it in this process.
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False
        )

    return run
