"""NumPy 1.26 and the installed NumPy give the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.moving_line.encodings import ENCODINGS
from tests.conftest import ROOT

pytestmark = pytest.mark.storm

OLD = "1.26.4"
COUNTS = ["--num_train=5000", "--num_validation=300", "--num_test=300"]


@pytest.fixture(scope="module")
def old_numpy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NumPy 1.26 and a SciPy that goes with it, in a directory that Python looks in first."""
    if sys.version_info >= (3, 13):
        pytest.skip(f"there is no NumPy {OLD} for Python 3.13")
    directory = tmp_path_factory.mktemp("numpy")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    packages = [f"numpy=={OLD}", "scipy==1.14.1"]
    subprocess.run([*pip, "--only-binary=:all:", "--target", directory, *packages], check=True, timeout=300)
    return directory


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("image_size", [5, 50])
def test_both_versions_write_the_same_bytes(
    tmp_path: Path, old_numpy: Path, encoding: str, image_size: int
) -> None:
    assert np.__version__ != OLD
    shards = []
    for name, first in (("old", str(old_numpy)), ("new", "")):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [first, str(ROOT)]))}
        flags = [f"--output_dir={tmp_path / name}", f"--encoding={encoding}", f"--image_size={image_size}"]
        for program in (
            ["pipeline.generate", *flags, *COUNTS, "--direct_num_workers=2"],
            ["pipeline.verify", str(tmp_path / name)],
        ):
            command = [sys.executable, "-m", *program]
            done = subprocess.run(
                command,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        manifest = (tmp_path / name / "manifest.json").read_text()
        assert (f'"numpy": "{OLD}"' in manifest) == (name == "old")
        shards.append(
            {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if "tfrecord" in path.name}
        )
    assert shards[0] == shards[1]
