"""What TensorFlow's operations need on a GPU, found out without one: this build knows the kernels of both."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from model import Observation, RandomWindow, build_classifier, execution, logits_of
from model.captions import SPECIAL, CaptionerOptions, build_captioner
from model.frames import clip_inputs
from model.moving_line import sequence_answers
from pipeline.moving_line.lines import draw_frames, sample_sequences
from trainer.tasks.describe import TokenCrossEntropy

tf = pytest.importorskip("tensorflow")

_BATCH = 1021  # What has so many elements grows with the batch, or is a weight.

OBSERVATIONS = [
    Observation(),
    Observation(line="dot"),
    Observation(window=5),
    Observation(noise=0.1),
    Observation(flips=0.1),
]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Models are built as on a GPU without XLA; they run on the CPU nevertheless."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of TensorFlow only")
    if not tf.test.is_built_with_cuda():
        pytest.skip("this build of TensorFlow does not know the kernels of GPUs")
    monkeypatch.setattr(execution, "_sees_gpus", lambda: True)
    execution.choose_compiler("none")
    yield
    execution.choose_compiler("auto")


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("encoding", ["path", "frames"])
@pytest.mark.parametrize("precision", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.storm)])
@pytest.mark.usefixtures("gpu")
def test_nothing_that_grows_with_the_batch_goes_through_the_host(
    encoding: str, observation: Observation, precision: str
) -> None:
    inputs, answers = sequence_answers(
        logits_of(build_classifier(8, precision=precision)), 8, encoding, observation
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    assert _lacking(inputs, answers, loss, tf.TensorSpec((_BATCH, 1), tf.float32)) == []


@pytest.mark.parametrize("options", [{}, {"attention": True, "tied": True, "precision": "mixed_bfloat16"}])
@pytest.mark.usefixtures("gpu")
def test_captions_are_learned_on_the_gpu(options: dict[str, Any]) -> None:
    words = (*SPECIAL, "one", "two")
    captioner = build_captioner((16, 16, 3), words, CaptionerOptions(units=8, use_cudnn=False, **options))
    inputs = {**clip_inputs(5, (16, 16, 3)), "words": keras.Input((4,), dtype="int32", name="words")}
    labels = tf.TensorSpec((_BATCH, 4), tf.int32)
    assert _lacking(inputs, logits_of(captioner)(inputs), TokenCrossEntropy(3.5), labels) == []


def _lacking(inputs: dict[str, Any], logits: Any, loss: keras.losses.Loss, labels: Any) -> list[str]:
    """What keeps operations of a training step, which grow with the batch, from a GPU's memory."""
    model = keras.Model(inputs, logits)
    model.compile("adam", loss, jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    features = {name: tf.TensorSpec((_BATCH, *each.shape[1:]), each.dtype) for name, each in inputs.items()}
    step = tf.function(lambda features, labels: model.train_step((features, labels)))
    graph = step.get_concrete_function(features, labels).graph
    operations = [
        operation for operation in graph.get_operations() if any(map(_is_large, _tensors(operation)))
    ]
    assert len(operations) > 100
    return sorted(set(filter(None, map(_lacks, operations))))


def test_what_goes_through_the_host_is_found() -> None:
    def gather(frames: Any, numbers: Any) -> Any:
        return tf.gather(frames, numbers + 1)

    specs = tf.TensorSpec((_BATCH, 4), tf.uint8), tf.TensorSpec((_BATCH,), tf.int32)
    graph = tf.function(gather).get_concrete_function(*specs).graph
    assert set(filter(None, map(_lacks, graph.get_operations()))) == {
        "AddV2 of int32, int32: x through the host",
        "GatherV2 of uint8, int32, int32: no kernel",
    }


def _lacks(operation: Any) -> str | None:
    """What keeps an operation from a GPU's memory; see tensorflow/core/framework/kernel_def.proto."""
    from tensorflow.python.framework import kernels

    what = f"{operation.type} of {', '.join(each.dtype.name for each in operation.inputs)}"
    registered = kernels.get_registered_kernels_for_op(operation.type).kernel
    found = [kernel for kernel in registered if _fits(kernel, operation)]
    if not found:
        return f"{what}: no kernel"
    named = _named(operation.op_def.input_arg, operation, operation.inputs)
    named += _named(operation.op_def.output_arg, operation, operation.outputs)
    through_host = [name for name, each in named if name in found[0].host_memory_arg and _is_large(each)]
    return f"{what}: {through_host[0]} through the host" if through_host else None


def _fits(kernel: Any, operation: Any) -> bool:
    def types(name: str) -> list[int]:
        value = operation.node_def.attr[name]
        return [value.type] if value.WhichOneof("value") == "type" else list(value.list.type)

    return kernel.device_type in ("GPU", "DEFAULT") and all(
        set(types(constraint.name)) <= set(constraint.allowed_values.list.type)
        for constraint in kernel.constraint
    )


def _named(arguments: Any, operation: Any, tensors: Any) -> list[tuple[str, Any]]:
    names: list[str] = []
    for argument in arguments:
        attributes = operation.node_def.attr
        count = attributes[argument.number_attr].i if argument.number_attr else 1
        if argument.type_list_attr:
            count = len(attributes[argument.type_list_attr].list.type)
        names += [argument.name] * count
    return list(zip(names, tensors, strict=True))


def _tensors(operation: Any) -> list[Any]:
    return [*operation.inputs, *operation.outputs]


def _is_large(tensor: Any) -> bool:
    elements = tensor.shape.num_elements()
    return elements is None or elements >= _BATCH


@pytest.mark.usefixtures("gpu")
def test_windows_are_the_same_without_gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = draw_frames(*sample_sequences(0, "train", 8, 0, 40))
    number = np.arange(40, dtype=np.uint32)
    window = RandomWindow(3, seed=5, dtype="uint8")
    without = ops.convert_to_numpy(window(frames, number))
    assert without.dtype == np.uint8
    monkeypatch.setattr(execution, "_sees_gpus", lambda: False)
    np.testing.assert_array_equal(without, ops.convert_to_numpy(window(frames, number)))
