"""A model whose last layer fails when it computes, by means of the library that computes.

As a program it makes another one do so, in a process of its own:

    python -m tests.failing_model HOW MODULE FLAGS...
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pipeline.command_line.program import run
from trainer.command_line.startup import import_tensorflow_quietly

# What TensorFlow says where cuDNN cannot be set up, word for word.
DNN = "DNN library initialization failed. Look at the errors above for more details."

# An array of as many rows and columns has more bytes than any machine's processor can address.
_TOO_MANY = 2**23


def failing_assertion(answers: Any) -> Any:
    """TensorFlow's operation fails, in TensorFlow's own code."""
    import tensorflow as tf

    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_sum(answers) > 1e9, [DNN])]):
        return tf.identity(answers)


def failing_function(error: Exception, first: Callable[[], object]) -> Callable[[Any], Any]:
    """TensorFlow's operation calls a function that does something, then raises an error."""
    import tensorflow as tf

    def fail(_: Any) -> Any:
        first()
        raise error

    return lambda answers: tf.ensure_shape(tf.py_function(fail, [answers], answers.dtype), answers.shape)


def lack_of_memory(answers: Any) -> Any:
    """JAX's own error: the memory for an array is asked for, and there cannot be that much."""
    import jax.numpy as jnp

    row = jnp.arange(_TOO_MANY, dtype=jnp.float32)
    return answers + jnp.sort(answers.ravel()[0] * row * row[:, None], axis=0)[0, 0]


def failing(call: Callable[..., Any], fail: Callable[[Any], Any]) -> Callable[..., Any]:
    """A layer's ``call`` that fails where it is given values, and is as ever where it is given shapes."""
    import keras

    def failing_call(self: Any, inputs: Any, **more: Any) -> Any:
        answers = call(self, inputs, **more)
        return answers if isinstance(answers, keras.KerasTensor) else fail(answers)

    return failing_call


def _main(arguments: list[str]) -> None:
    how, module, *flags = arguments
    import_tensorflow_quietly()
    import keras
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.layers.Dense.call = failing(keras.layers.Dense.call, globals()[how])
    sys.argv = [module, *flags]
    run(module, import_module(module).main)


if __name__ == "__main__":
    _main(sys.argv[1:])
