"""Data sets of frames, and runs on them."""

from pathlib import Path

import pytest

from tests.trainer.frames import data_sets
from trainer.training.loop import train
from trainer.training.settings import Execution, TrainingSettings

SETTINGS = TrainingSettings(
    epochs=2,
    steps_per_epoch=12,
    batch_size=8,
    learning_rate=0.004,
    readers=3,
    num_frames=10,
    crop="28x20",
    flip=True,
    brightness=0.1,
    contrast=0.2,
    units=16,
    class_weights="balanced",
    label_smoothing=0.05,
)
KEEP_ALL = Execution(checkpoint_every=5, keep_checkpoints=100)


@pytest.fixture(scope="session")
def balls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `data_sets.balls`."""
    return data_sets.balls(tmp_path_factory.mktemp("frames") / "balls")


@pytest.fixture(scope="session")
def clips_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `data_sets.clips`."""
    return data_sets.clips(tmp_path_factory.mktemp("frames") / "clips")


@pytest.fixture(scope="session")
def balls_run(balls_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of all that a training of frames may be asked for, with all its checkpoints."""
    run = tmp_path_factory.mktemp("frames") / "run"
    train(SETTINGS, str(balls_dir), str(run), KEEP_ALL)
    return run


@pytest.fixture(scope="session")
def clips_run(clips_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on clips."""
    run = tmp_path_factory.mktemp("frames") / "clips_run"
    settings = TrainingSettings(epochs=1, batch_size=4, num_frames=6, units=8, readers=1, learning_rate=0.01)
    train(settings, str(clips_dir), str(run))
    return run
