"""Files that may not be read or written, as somebody who is not root meets them."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.command_line.errors import RequestError
from trainer.evaluate import main
from trainer.export import main as export
from trainer.predict import main as predict

NOBODY = 65534


@pytest.fixture
def place(path_dataset_dir: Path, run_dir: Path) -> Iterator[Path]:
    """Copies of data and run that anybody may read, in a directory that only root may write."""
    if os.geteuid():
        pytest.skip("only root can become nobody")
    directory = Path(tempfile.mkdtemp(prefix="moving_line-test-"))
    directory.chmod(0o755)
    shutil.copytree(path_dataset_dir, directory / "data")
    shutil.copytree(run_dir, directory / "run")
    (directory / "m.json").write_text("old")
    for path in [*directory.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield directory
    shutil.rmtree(directory)


def _as_nobody(program: Callable[[list[str]], int], flags: list[str]) -> None:
    os.seteuid(NOBODY)
    try:
        program(flags)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("program", "flags", "closed", "named"),
    [
        (main, "--output={place}/m.json", None, "m.json: cannot be written"),
        (main, "--output={tmp}/m.json --plots={place}/plots", None, "--plots .*cannot be written"),
        (main, "--output={tmp}/m.json", "data/manifest.json", "cannot be read .*Permission denied"),
        (main, "--output={tmp}/m.json", "run/model.keras", "model.keras: .*Permission denied"),
        (main, "--output={tmp}/m.json", "run/config.json", "config.json: .*Permission denied"),
        (
            main,
            "--output={tmp}/m.json --baseline=/x --checks={place}/m.json",
            "m.json",
            "m.json: cannot be read",
        ),
        (export, "--output_dir={place}/x", None, "cannot be written .*Permission denied"),
        (predict, "--input={place}/a.npy", "a.npy", "a.npy: Permission denied"),
    ],
)
def test_one_line_names_what_and_why(
    place: Path, program: Callable[[list[str]], int], flags: str, closed: str | None, named: str
) -> None:
    if closed is not None:
        (place / closed).touch()
        (place / closed).chmod(0o600)
    with tempfile.TemporaryDirectory() as writable:
        os.chmod(writable, 0o777)
        given = flags.format(place=place, tmp=writable).split()
        data = [f"--data_dir={place / 'data'}"] if program is main else []
        with pytest.raises(RequestError, match=named):
            _as_nobody(program, [*data, f"--model_dir={place / 'run'}", *given])
        assert os.listdir(writable) == []
    assert (place / "m.json").read_text() == "old" or closed == "m.json"
    assert not (place / "x").exists()
    assert not (place / "plots").exists()
