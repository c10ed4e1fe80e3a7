"""Which runner a request means, and that what is not installed is one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.runners.dask.dask_runner import DaskOptions, DaskRunner

from pipeline.command_line.errors import RequestError
from pipeline.generation.runners import choose_runner
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["dask", "DaskRunner", "apache_beam.runners.dask.dask_runner.DaskRunner"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], (1, None)), (["--dask_partition_size=7"], (7, None)), (["--dask_npartitions=3"], (None, 3))],
)
def test_dask_gives_every_shard_a_partition(
    name: str, flags: list[str], expected: tuple[int | None, int | None]
) -> None:
    runner, options = choose_runner(name, None, None, flags)
    assert isinstance(runner, DaskRunner)
    found = options.view_as(DaskOptions)
    assert (found.partition_size, found.npartitions) == expected


def test_dask_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RequestError, match="--runner dask: Dask is not installed"):
        choose_runner("dask", None, None, [])


def test_a_program_that_lacks_a_package_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ModuleNotFoundError('no', name='tensorflow')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "trainer.task", "--data_dir=d", "--model_dir=m"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("trainer.task: error: the package tensorflow is not installed")
    assert "[train]" in line


def test_a_flag_of_another_kind_is_said_to_be_its() -> None:
    with pytest.raises(RequestError, match=r"unknown flag --source: .* knows it; --dataset clips has it$"):
        choose_runner(None, 1, None, ["--source", "S"])
    with pytest.raises(RequestError, match=r"unknown flag --sauce: .* knows it$"):
        choose_runner(None, 1, None, ["--sauce", "S"])
