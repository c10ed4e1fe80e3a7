"""From nothing to a judged classifier the tutorial way: arrays in memory, `fit`, `predict`."""

from __future__ import annotations

_BATCH_SIZE = 32
_PREDICTED_AT_ONCE = 1_000  # Frames of all held-out sequences would not fit in memory.


def errors_from_nothing(image_size: int, steps: int, learning_rate: float, num_test: int, seed: int) -> int:
    """Make arrays, train, predict.

    Args:
        image_size: S.
        steps: batches of 32 to train on.
        learning_rate: of Adam, at first; it falls as a cosine.
        num_test: held-out sequences.
        seed: of weights and data.

    Returns:
        How many of the held-out sequences it gets wrong.
    """
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    import keras

    from benchmarks.baselines.tutorial import train_tutorial, tutorial_arrays, tutorial_model

    keras.utils.set_random_seed(seed)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model = tutorial_model(image_size, keras.optimizers.Adam(schedule, beta_2=0.99))
    # Bytes, which Keras casts batch by batch: as float32 they would take four times the memory.
    frames, labels = tutorial_arrays(seed, image_size, steps * _BATCH_SIZE, dtype="uint8")
    train_tutorial(model, frames, labels, _BATCH_SIZE)
    errors = 0
    for first in range(0, num_test, _PREDICTED_AT_ONCE):
        count = min(_PREDICTED_AT_ONCE, num_test - first)
        frames, labels = tutorial_arrays(seed, image_size, count, "test", first, "uint8")
        errors += int(((model.predict(frames, verbose=0)[:, 0] >= 0.5) != labels).sum())
    return errors
