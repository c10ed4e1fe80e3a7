"""What the engines' tests share: the data set that every engine must make."""

import pytest

from tests.engines.generation import BALLS, BALLS_PATH, Generation, Made


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The data set as one process makes it."""
    directory = tmp_path_factory.mktemp("reference") / "d"
    with Generation(directory, ["--direct_running_mode=in_memory"]) as generation:
        generation.finish(seconds=120)
    return Made.of(directory)


@pytest.fixture(scope="session")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A data set of another kind, as one process makes it."""
    directory, alone = tmp_path_factory.mktemp("balls") / "d", ["--direct_running_mode=in_memory"]
    with Generation(directory, alone, BALLS, PYTHONPATH=BALLS_PATH) as generation:
        generation.finish(seconds=120)
    return Made.of(directory)
