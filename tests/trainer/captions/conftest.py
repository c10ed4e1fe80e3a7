"""Data sets with captions, and runs on them."""

from pathlib import Path

import pytest

from tests.trainer.captions import data_sets
from trainer.training.loop import train
from trainer.training.settings import Execution, TrainingSettings

SETTINGS = TrainingSettings(
    task="describe",
    epochs=2,
    steps_per_epoch=12,
    batch_size=8,
    learning_rate=0.01,
    readers=3,
    num_frames=6,
    crop="28x20",
    flip=True,
    units=16,
    max_words=7,
    attention=True,
)
SHORT = TrainingSettings(
    task="describe", epochs=1, steps_per_epoch=2, batch_size=4, readers=1, num_frames=3, units=8, max_words=6
)
KEEP_ALL = Execution(checkpoint_every=5, keep_checkpoints=100)


@pytest.fixture(scope="session")
def balls_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `data_sets.described_balls`."""
    return data_sets.described_balls(tmp_path_factory.mktemp("captions") / "balls")


@pytest.fixture(scope="session")
def balls_run(balls_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, with all its checkpoints."""
    run = tmp_path_factory.mktemp("captions") / "run"
    train(SETTINGS, str(balls_dir), str(run), KEEP_ALL)
    return run
