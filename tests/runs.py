"""Runs that stand where a test needs them, whatever the training has come to on this machine."""

from pathlib import Path

import keras

from trainer.checkpoints import read_state, save_checkpoint
from trainer.run_directory import RunDirectory

# No loss is below 0, and that of a finite model is far below 1e9: its logarithms are cut off at 1e-7.
LOWEST, HIGHEST = "0", "1e9"


def set_back(run: Path, step: int, val_loss: str) -> None:
    """Leave of a run what it leaves if it is killed after an epoch, which had this validation loss.

    Args:
        run: a finished run that kept the checkpoint of ``step``.
        step: the last one of an epoch, which becomes the one with the lowest validation loss.
        val_loss: as it stands in the history.
    """
    directory = RunDirectory(str(run))
    state = read_state(directory.checkpoint_path(step))
    state.history[-1]["val_loss"] = val_loss
    classifier = keras.models.load_model(directory.checkpoint_path(step))
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    (run / "model.keras").unlink()
    for checkpoint in (directory.checkpoint_path(step), directory.best_checkpoint_path):
        save_checkpoint(checkpoint, classifier, state)
