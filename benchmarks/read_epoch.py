"""Program: read an epoch of a training split as the trainer does, and nothing else; for `memory`."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.program import run

PROGRAM = "benchmarks.read_epoch"


def main(arguments: Sequence[str]) -> int:
    """Read it."""
    parser = ArgumentParser(
        PROGRAM,
        "Read one epoch of a data set's training split in the trainer's batches.",
        f"python -m {PROGRAM} --data_dir /tmp/lines",
    )
    parser.add_argument("--data_dir", required=True, help="a data set made by pipeline.generate")
    flags = parser.parse_args(arguments)

    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.input.batches import steps_per_pass, training_batches
    from trainer.input.split_files import read_manifest, split_files
    from trainer.training.settings import TrainingSettings

    settings = TrainingSettings()
    files = split_files(flags.data_dir, read_manifest(flags.data_dir), "train")
    batches = training_batches(
        files, batch_size=settings.batch_size, seed=settings.seed, readers=min(16, len(files.paths))
    )
    steps = sum(1 for _ in batches.take(steps_per_pass(files, settings.batch_size)))
    print(f"{steps} batches of {settings.batch_size}")
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
