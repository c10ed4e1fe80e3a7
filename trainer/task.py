"""Program: train a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from pipeline.program import ArgumentParser, non_negative_int, path_text, positive_int, run
from trainer.flags import add_on_corrupt

PROGRAM = "trainer.task"


def main(arguments: Sequence[str]) -> int:
    """Parse, train, say how it went and where it lies."""
    from trainer.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.settings import TrainingSettings

    default = TrainingSettings()
    parser = ArgumentParser(
        PROGRAM,
        "Train a classifier on a data set. The same command again resumes after the last finished epoch.",
        f"python -m {PROGRAM} --data_dir /tmp/lines --model_dir /tmp/run --epochs 4 --steps_per_epoch 100",
    )
    add = parser.add_argument
    add("--data_dir", required=True, type=path_text, help="a data set made by pipeline.generate")
    add("--model_dir", required=True, type=path_text, help="the run directory; made if it is not there")
    add("--epochs", type=positive_int, default=default.epochs, help="epochs, each with validation")
    add("--steps_per_epoch", type=positive_int, help="batches an epoch (default: a pass over the data)")
    add("--batch_size", type=positive_int, default=default.batch_size, help="sequences a step")
    add("--learning_rate", type=float, default=default.learning_rate, help="of Adam, at the first step")
    add("--schedule", default=default.schedule, help="of the learning rate: cosine (to 0) or constant")
    add("--clip_norm", type=float, default=default.clip_norm, help="largest global norm of the gradients")
    add("--architecture", default=default.architecture, help="folded, layerwise or submodel")
    add("--readers", type=positive_int, help="shards read in parallel (default: 16, or every shard if fewer)")
    add("--seed", type=non_negative_int, default=default.seed, help="of weights and order of the data")
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="auto: a GPU where there is one")
    add_on_corrupt(parser)
    flags = parser.parse_args(arguments)
    settings = TrainingSettings(
        **{field.name: getattr(flags, field.name) for field in fields(TrainingSettings)}
    )

    from trainer.devices import choose_device
    from trainer.training import train

    print(f"device: {choose_device(flags.device)}")
    result = train(settings, flags.data_dir, flags.model_dir, flags.on_corrupt)
    if result.resumed_from == result.step:
        print(f"already trained for {result.step} steps: nothing to do")
    if result.history:
        best = min(result.history, key=lambda row: float(row["val_loss"]))
        print(
            f"trained for {result.step} steps; kept the model after step {best['step']}:"
            f" validation loss {float(best['val_loss']):.3g}, accuracy {float(best['val_accuracy']):.4f}"
        )
    print(f"run directory: {flags.model_dir}")
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
