"""Program: export a trained model for serving."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pipeline.command_line.arguments import ArgumentParser, path_text
from pipeline.command_line.program import run

PROGRAM = "trainer.export"

FORMAT_NAMES = ("saved_model", "onnx", "litert")

_DESCRIPTION = """\
Export a trained model.

saved_model: a directory for TensorFlow Serving and tf.saved_model.load, with signatures for frames
(serving_default), for paths of moving lines or windows of clips, and for serialized examples; onnx:
model.onnx, for onnxruntime; litert: model.tflite. None needs this project's code. Each is compared with the
Keras model on 256 sequences before it is put in place."""


def main(arguments: Sequence[str]) -> int:
    """Parse, export, print where it lies and how well it agrees."""
    parser = ArgumentParser(
        PROGRAM,
        _DESCRIPTION,
        f"python -m {PROGRAM} --model_dir /tmp/run --output_dir /tmp/export --format onnx",
    )
    add = parser.add_argument
    add("--model_dir", required=True, type=path_text, help="the run directory of a finished training")
    add("--output_dir", required=True, type=path_text, help="where the export goes; an older one is replaced")
    add("--format", choices=FORMAT_NAMES, default="saved_model", help="what to export to")
    flags = parser.parse_args(arguments)

    # Model files are the same for all backends, but only TensorFlow's writes these formats.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.distributed.devices import choose_device
    from trainer.exporting.exporter import export_model

    choose_device("cpu")  # With a GPU visible, the export would run on GPUs only.
    exported = export_model(flags.model_dir, flags.output_dir, flags.format)
    print(f"largest difference from the Keras model: {exported.largest_difference:.1e}")
    print(exported.path)
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
