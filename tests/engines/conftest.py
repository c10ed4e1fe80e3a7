"""What the engines' tests share: the data set that every engine must make."""

from typing import NamedTuple

import pytest

from tests.engines.generation import BALLS, BALLS_PATH, Generation, Made
from tests.pipeline.clips.clip_folders import class_folders, still, write


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


class Clips(NamedTuple):
    """A request for a data set of clips, and what one process makes of it."""

    request: list[str]
    made: Made


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """200 clips, of which one is bad, in about 35 shards."""
    folder = tmp_path_factory.mktemp("clips")
    source = write(folder / "S", class_folders(["a cat", "собака"], 100))
    write(source, {"a cat/run/1.png": still(0), "a cat/run/2.png": still(1), "a cat/bad.mp4": b"no video"})
    request = ["--dataset=clips", f"--source={source}", "--frame_size=32x24", "--sequences_per_shard=6"]
    request.append("--on_bad_clip=skip")
    with Generation(folder / "d", ["--direct_running_mode=in_memory"], request) as generation:
        generation.finish(seconds=120)
    return Clips(request, Made.of(folder / "d"))
