"""Program: from nothing to a judged classifier the tutorial way: arrays in memory, `fit`, `predict`.

Prints how many of the held-out sequences it gets wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.program import run

PROGRAM = "benchmarks.baselines.tutorial_script"

_BATCH_SIZE = 32
_PREDICTED_AT_ONCE = 1_000  # Frames of all held-out sequences would not fit in memory.


def main(arguments: Sequence[str]) -> int:
    """Make arrays, train, predict."""
    parser = ArgumentParser(
        PROGRAM,
        "Train and judge the tutorial's classifier on the CPU, for comparison.",
        f"python -m {PROGRAM} --image_size 50 --steps 100 --num_test 1000",
    )
    add = parser.add_argument
    add("--image_size", type=positive_int, required=True, help="S")
    add("--steps", type=positive_int, required=True, help=f"batches of {_BATCH_SIZE} to train on")
    add("--learning_rate", type=float, required=True, help="of Adam, at first; it falls as a cosine")
    add("--num_test", type=positive_int, required=True, help="held-out sequences")
    add("--seed", type=int, default=0, help="of weights and data")
    flags = parser.parse_args(arguments)

    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    import keras

    from benchmarks.baselines.tutorial import train_tutorial, tutorial_arrays, tutorial_model

    keras.utils.set_random_seed(flags.seed)
    schedule = keras.optimizers.schedules.CosineDecay(flags.learning_rate, flags.steps)
    model = tutorial_model(flags.image_size, keras.optimizers.Adam(schedule, beta_2=0.99))
    # Bytes, which Keras casts batch by batch: as float32 they would take four times the memory.
    frames, labels = tutorial_arrays(flags.seed, flags.image_size, flags.steps * _BATCH_SIZE, dtype="uint8")
    train_tutorial(model, frames, labels, _BATCH_SIZE)
    errors = 0
    for first in range(0, flags.num_test, _PREDICTED_AT_ONCE):
        count = min(_PREDICTED_AT_ONCE, flags.num_test - first)
        frames, labels = tutorial_arrays(flags.seed, flags.image_size, count, "test", first, "uint8")
        errors += int(((model.predict(frames, verbose=0)[:, 0] >= 0.5) != labels).sum())
    print(errors)
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
