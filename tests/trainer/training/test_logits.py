"""What a confident mistake teaches, on both backends: run as a program, this prints it for its backend."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.processes import environment, run_python
from trainer.moving_line.kind import is_correct

LOGITS = np.linspace(-30, 30, 61)


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("tensorflow", marks=pytest.mark.slow),
        pytest.param("jax", marks=pytest.mark.storm),
    ],
)
def test_gradients_are_those_of_logits(path_dataset_dir: Path, backend: str) -> None:
    pytest.importorskip(backend)
    done = run_python(__file__, path_dataset_dir, variables=environment(KERAS_BACKEND=backend))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for label in (0, 1):
        # Of cross-entropy, by a logit: the probability less the label.
        expected = 1 / (1 + np.exp(-LOGITS)) - label
        np.testing.assert_allclose(found["gradients"][label], expected, rtol=1e-5, atol=1e-7)
    # What is saved says probabilities.
    np.testing.assert_allclose(found["probabilities"], 1 / (1 + np.exp(-LOGITS)), rtol=1e-5)


def test_accuracy_counts_signs() -> None:
    labels = np.array([[0], [0], [1], [1]], np.float32)
    right = is_correct(labels, np.array([[-0.1], [0.1], [-0.1], [0.1]], np.float32))
    assert np.asarray(right).tolist() == [[True], [False], [False], [True]]


def _print_gradients(data_dir: str) -> None:
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    import keras
    from keras import ops

    from trainer.distributed.strategy import distributed
    from trainer.input.split_files import read_manifest, split_files
    from trainer.training.build import build_training_model
    from trainer.training.plan import make_plan
    from trainer.training.settings import Execution, TrainingSettings

    files = split_files(data_dir, read_manifest(data_dir), "train")
    plan = make_plan(TrainingSettings(steps_per_epoch=1, batch_size=1), Execution(), files, 1)
    with distributed("test", Execution(), None, {}) as distribution:
        built = build_training_model(plan, files, distribution, None)
    model, head = built.sequence_model, built.classifier.get_layer("right")
    # The bias is the logit.
    head.kernel.assign(np.zeros(head.kernel.shape))
    features = {"path": np.zeros((1, 8), np.uint8), "label": np.zeros(1, np.uint8)}
    place = [variable is head.bias for variable in model.trainable_variables].index(True)

    def loss(variables: list[object], expected: object) -> object:
        others = [variable.value for variable in model.non_trainable_variables]
        answers, _ = model.stateless_call(variables, others, features)
        return model.loss(expected, answers)

    if keras.backend.backend() == "jax":
        import jax

        of_bias = jax.jit(lambda values, expected: jax.grad(loss)(values, expected)[place])
    else:
        import tensorflow as tf

        @tf.function  # type: ignore[untyped-decorator]
        def of_bias(values: list[object], expected: object) -> object:
            with tf.GradientTape() as tape:
                tape.watch(values)
                found = loss(values, expected)
            return tape.gradient(found, values[place])

    def gradient(label: int) -> float:
        values = [ops.convert_to_tensor(variable) for variable in model.trainable_variables]
        return float(ops.convert_to_numpy(of_bias(values, np.full((1, 1), label, np.float32)))[0])

    gradients: list[list[float]] = [[], []]
    probabilities = []
    for logit in LOGITS:
        head.bias.assign([logit])
        for label in (0, 1):
            gradients[label].append(gradient(label))
        frames = np.zeros((1, 8, 8, 8, 1), np.float32)
        probabilities.append(float(built.classifier(frames)[0, 0]))
    print(json.dumps({"gradients": gradients, "probabilities": probabilities}))


if __name__ == "__main__":
    _print_gradients(sys.argv[1])
